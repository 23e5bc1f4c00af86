#pragma once

#include <cstdint>
#include <string>

namespace outcrop::train {

// Settings of the whole process that training depends on.

// OpenBLAS takes its kernels by a list of processors. Of one that is newer than itself it knows nothing, and takes those of 2004: with
// 0.3.21 of Debian 12 on an Emerald Rapids products of matrices take four times as long, and some of these kernels crash. Where
// it did, this starts the program again by `arguments` with OPENBLAS_CORETYPE, which it reads while it is loaded. To be called
// first of all in main; does nothing where the variable is set, or where this processor has nothing better.
void choose_kernels_of_this_processor(char** arguments);

// Sets LibTorch's threads (0: as many as there are processors) and OpenBLAS's with them, and
// returns a sentence on what was set. Two pools that both want every processor fight: OpenBLAS
// built on OpenMP shares LibTorch's, any other build gets one thread. Also turns LibTorch's
// tensor-expression fuser off, which miscomputes from version 2 on.
std::string set_threads(std::int64_t threads);

}  // namespace outcrop::train
