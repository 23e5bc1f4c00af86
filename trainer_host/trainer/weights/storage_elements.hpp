#pragma once

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"
#include "trainer_host/trainer/weights/state_pickle.hpp"

namespace outcrop::weights {

// float32 for floats of any width, int64 for whole numbers and bool.
[[nodiscard]] runtime::DType dtype_of(StorageType type);

// The values at `place`, row-major, with neither name nor shape. `storage` is all of that storage, at any
// alignment, little-endian: place.storage_elements values. invalid_data where a float64 fits no float32.
[[nodiscard]] Result<Bytes> copy_elements(const TensorPlace& place, BytesView storage);

}  // namespace outcrop::weights
