// Twofold arithmetic is exact where it says so, and both ways to form a product give the same bits.
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "rlcore/twofold.hpp"
#include "rlcore/twofold_rows.hpp"

using namespace rlcore;

namespace {

/// Significands of 53 bits as integers: their products and sums are exact in 128 bits.
__extension__ using Wide = __int128;

double random_significand(std::mt19937_64& random) {
  return static_cast<double>(static_cast<std::int64_t>(random() >> 11)) * (random() % 2 == 0 ? 1.0 : -1.0);
}

Wide exact(double integer) { return static_cast<Wide>(integer); }

}  // namespace

TEST_CASE("two_sum and two_product lose nothing") {
  std::mt19937_64 random(1);
  for (int trial = 0; trial < 10000; ++trial) {
    const double a = random_significand(random);
    const double b = random_significand(random);
    const Twofold sum = two_sum(a, b);
    CHECK(exact(sum.hi) + exact(sum.lo) == exact(a) + exact(b));
    const Twofold product = two_product(a, b);
    CHECK(exact(product.hi) + exact(product.lo) == exact(a) * exact(b));
  }
}

TEST_CASE("twofold operators are right to 2^-100") {
  const Twofold third = Twofold{1.0} - Twofold{2.0 / 3.0, 2.0 / 3.0 * 0x1p-54};
  const Twofold one = third * 3.0;
  CHECK(std::fabs((one - 1.0).rounded()) < 1e-16);
  const Twofold tiny{1.0, 0x1p-80};
  CHECK((tiny - 1.0).rounded() == 0x1p-80);
  CHECK((tiny * tiny - 1.0).rounded() == doctest::Approx(0x1p-79).epsilon(1e-9));
}

TEST_CASE("the loops for this machine give the bits of the portable sum") {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> uniform;
  std::vector<Twofold> x(100);
  for (Twofold& value : x) value = two_sum(uniform(random) * 1e9, uniform(random) * 1e-9);
  for (int trial = 0; trial < 1000; ++trial) {
    std::vector<Column> column;
    std::vector<double> probability;
    for (Column c = 0; c < 100; ++c) {
      if (random() % 4 != 0) continue;
      column.push_back(c);
      probability.push_back(uniform(random));
    }
    const Row row{column.data(), probability.data(), static_cast<Index>(column.size()), 0};
    if (row.length == 0) continue;
    TwofoldSum sum;
    std::vector<Twofold> scattered(100);
    for (std::size_t k = 0; k < column.size(); ++k) sum.add_product(x[at(column[k])], probability[k]);
    const Twofold dot = twofold_rows().dot(row, x.data());
    CHECK(dot.hi == sum.total().hi);
    CHECK(dot.lo == sum.total().lo);

    twofold_rows().scatter(x[0], row, scattered.data());
    for (std::size_t k = 0; k < column.size(); ++k) {
      const Twofold once = x[0] * probability[k];
      CHECK(scattered[at(column[k])].hi + scattered[at(column[k])].lo == doctest::Approx(once.rounded()));
    }
  }
}

TEST_CASE("dot_error bounds the error of a sum that cancels") {
  // sum = (1 + 2^-60) * 2^50 - 2^50 + ... : plain doubles would give 0.
  const std::vector<Twofold> terms{{0x1p50, 0x1p-10}, {-0x1p50}, {0x1p-40}};
  TwofoldSum sum;
  for (const Twofold term : terms) sum.add_product(term, 1.0);
  const double error = std::fabs(sum.total().rounded() - (0x1p-10 + 0x1p-40));
  CHECK(error <= dot_error(3) * 0x1p51);
}
