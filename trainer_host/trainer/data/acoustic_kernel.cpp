#include "trainer_host/trainer/data/acoustic_kernel.hpp"

namespace outcrop::data {

void advance_row_pair_baseline(const RowPair& rows);
#ifdef OUTCROP_KERNEL_X86_LEVELS
void advance_row_pair_v3(const RowPair& rows);
void advance_row_pair_v4(const RowPair& rows);
#endif

namespace {

std::vector<AcousticKernel> runnable_kernels() {
#ifdef OUTCROP_KERNEL_X86_LEVELS
  std::vector<AcousticKernel> kernels{{"x86-64", advance_row_pair_baseline}};
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) kernels.push_back({"x86-64-v3", advance_row_pair_v3});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    kernels.push_back({"x86-64-v4", advance_row_pair_v4});
  }
  return kernels;
#else
  return {{"generic", advance_row_pair_baseline}};
#endif
}

}  // namespace

const std::vector<AcousticKernel>& acoustic_kernels() {
  static const std::vector<AcousticKernel> kernels = runnable_kernels();
  return kernels;
}

}  // namespace outcrop::data
