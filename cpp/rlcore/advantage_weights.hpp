// What a policy gradient is the product of scores with: the advantages, weighted by how often they count (theory 4.1).
#pragma once

#include "rlcore/mdp.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

struct AdvantageWeights {
  Doubles weight;              // rho(s) pi(a|s) (A(s,a) - sum_b pi A), (num_pairs)
  Doubles low;                 // what rounding leaves over of that, if it was formed in twofold arithmetic
  double size = 0.0;           // sum rho pi |A|
  double mean = 0.0;           // sum_s rho |sum_a pi A|, which is rounding and what pi is off by
  double lost = 0.0;           // sum |low|
  double largest_size = 0.0;   // max_s rho sum_a pi |A|
  double largest_row = 0.0;    // max_s sum_a pi |A|
  double largest_mean = 0.0;   // max rho pi |sum_b pi A|: what is taken out of one weight
  double largest_lost = 0.0;   // max |low|
  double largest_value = 0.0;  // max |A|
  Index undefined = -1;        // the first pair that counts and has no A
};

/// One pass over the pairs, in twofold arithmetic if both the values and the visits have low parts. Without a policy
/// the weights are rho(s) Q(s,a), and their mean stays. Values that are NaN count as 0 where the policy or the visits
/// are.
AdvantageWeights advantage_weights(const Mdp& mdp, ConstVector policy, TwofoldView value, TwofoldView visits,
                                   Team& team);

}  // namespace rlcore
