#include "trainer_host/trainer/train/process.hpp"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "protocol/base/processors.hpp"

namespace outcrop::train {
namespace {

// OpenBLAS is asked by name: LibTorch links some libblas.so.3, and alternatives decide which.
template <class Function>
Function* openblas(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

constexpr const char* chosen_kernels = "OPENBLAS_CORETYPE";
constexpr std::string_view kernels_of_old = "Prescott";

// "SkylakeX"; "" where it is none.
std::string_view blas_kernels() {
  auto* name = openblas<char*()>("openblas_get_corename");
  return name == nullptr ? "" : name();
}

// The newest that OpenBLAS has of those that this processor can run; null where that is not known.
const char* best_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return "SkylakeX";
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

std::string set_blas_threads(int threads) {
  constexpr int built_on_openmp = 2;
  auto* get_parallel = openblas<int()>("openblas_get_parallel");
  auto* set_num_threads = openblas<void(int)>("openblas_set_num_threads");
  if (get_parallel == nullptr || set_num_threads == nullptr) {
    return "BLAS is not OpenBLAS: matrix products will be slow (install libopenblas0-openmp)";
  }
  if (get_parallel() == built_on_openmp) {
    set_num_threads(threads);
    return "OpenBLAS (" + std::string(blas_kernels()) + ") shares them";
  }
  set_num_threads(1);
  return "OpenBLAS keeps to 1, for its own pool would fight (libopenblas0-openmp shares)";
}

}  // namespace

void choose_kernels_of_this_processor(char** arguments) {
  const char* best = best_kernels();
  if (best == nullptr || std::getenv(chosen_kernels) != nullptr || blas_kernels() != kernels_of_old) return;
  ::setenv(chosen_kernels, best, 1);
  ::execv("/proc/self/exe", arguments);  // where that cannot be, it goes on as it is
  ::unsetenv(chosen_kernels);
}

std::string set_threads(std::int64_t threads) {
  const int count = static_cast<int>(threads > 0 ? threads : available_processors());
  at::set_num_threads(count);
  torch::jit::setTensorExprFuserEnabled(false);
  return std::to_string(count) + (count == 1 ? " thread" : " threads") + " for LibTorch; " +
         set_blas_threads(count);
}

}  // namespace outcrop::train
