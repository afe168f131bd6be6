# How rlcore is compiled: two functions that the targets call.

set(RLCORE_GNU_LIKE CXX_COMPILER_ID:GNU,Clang,AppleClang)

# What decides the meaning of a floating-point operation is public: headers hold arithmetic too, and every file that
# includes them must compile it in the same way.
function(rlcore_floating_point target)
  # Certificates count roundings, so no multiply-add is fused unless the code says std::fma.
  target_compile_options(${target} PUBLIC $<$<${RLCORE_GNU_LIKE}>:-ffp-contract=off>)

  # GCC 12 at -O3 miscompiles loops that store a zero and then overwrite it, unless loop distribution is off.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>)

  if(RLCORE_NATIVE)
    target_compile_options(${target} PUBLIC $<BUILD_INTERFACE:-march=native>)
  endif()
  if(RLCORE_SANITIZE)
    set(sanitize $<BUILD_INTERFACE:-fsanitize=${RLCORE_SANITIZE}>)
    target_compile_options(${target} PUBLIC ${sanitize} $<BUILD_INTERFACE:-fno-sanitize-recover=all>
                                            $<BUILD_INTERFACE:-fno-omit-frame-pointer>)
    target_link_options(${target} PUBLIC ${sanitize})
  endif()
endfunction()

function(rlcore_warnings target)
  target_compile_options(${target} PRIVATE "$<$<${RLCORE_GNU_LIKE}>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion>")
  # GCC 12 cries wolf: at std::string's operator+ (GCC bug 105651), and at its own AVX-512 intrinsics (105593).
  set(gcc_12 "$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>")
  target_compile_options(${target} PRIVATE $<${gcc_12}:-Wno-restrict>)
  if(RLCORE_NATIVE)
    target_compile_options(${target} PRIVATE $<${gcc_12}:-Wno-maybe-uninitialized>)
  endif()
endfunction()
