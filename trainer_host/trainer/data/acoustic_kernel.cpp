#include "trainer_host/trainer/data/acoustic_kernel.hpp"

namespace outcrop::data {

void advance_row_group_baseline(const RowGroup& group);
#ifdef OUTCROP_KERNEL_X86_LEVELS
void advance_row_group_v3(const RowGroup& group);
#endif

namespace {

std::vector<AcousticKernel> runnable_kernels() {
#ifdef OUTCROP_KERNEL_X86_LEVELS
  std::vector<AcousticKernel> kernels{{"x86-64", advance_row_group_baseline}};
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) kernels.push_back({"x86-64-v3", advance_row_group_v3});
  return kernels;
#else
  return {{"generic", advance_row_group_baseline}};
#endif
}

}  // namespace

const std::vector<AcousticKernel>& acoustic_kernels() {
  static const std::vector<AcousticKernel> kernels = runnable_kernels();
  return kernels;
}

}  // namespace outcrop::data
