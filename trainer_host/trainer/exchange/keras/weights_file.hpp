#pragma once

#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

struct WeightGroup {
  std::string path;            // "layers/conv2d/vars"
  std::vector<Value> weights;  // float32 constants, which are called "0", "1", … there
};

// As an HDF5 file, without times: the same weights give the same bytes. internal where libhdf5 fails.
[[nodiscard]] Result<Bytes> to_hdf5(const std::vector<WeightGroup>& groups);

}  // namespace outcrop::exchange
