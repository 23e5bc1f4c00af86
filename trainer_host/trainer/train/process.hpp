#pragma once

#include <cstdint>
#include <string>

namespace outcrop::train {

// Settings of the whole process that training depends on.

// Sets LibTorch's threads (0: as many as there are processors) and OpenBLAS's with them, and
// returns a sentence on what was set. Two pools that both want every processor fight: OpenBLAS
// built on OpenMP shares LibTorch's, any other build gets one thread. Also turns LibTorch's
// tensor-expression fuser off, which miscomputes from version 2 on.
std::string set_threads(std::int64_t threads);

}  // namespace outcrop::train
