#include "trainer_host/trainer/train/process.hpp"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>

#include "protocol/base/processors.hpp"

namespace outcrop::train {
namespace {

// OpenBLAS is asked by name: LibTorch links some libblas.so.3, and alternatives decide which.
template <class Function>
Function* openblas(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
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
    return "OpenBLAS shares them";
  }
  set_num_threads(1);
  return "OpenBLAS keeps to 1, for its own pool would fight (libopenblas0-openmp shares)";
}

}  // namespace

std::string set_threads(std::int64_t threads) {
  const int count = static_cast<int>(threads > 0 ? threads : available_processors());
  at::set_num_threads(count);
  torch::jit::setTensorExprFuserEnabled(false);
  return std::to_string(count) + (count == 1 ? " thread" : " threads") + " for LibTorch; " +
         set_blas_threads(count);
}

}  // namespace outcrop::train
