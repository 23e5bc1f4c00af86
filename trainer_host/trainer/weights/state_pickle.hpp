#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::weights {

// The dtypes of torch whose values are read.
enum class StorageType {
  float32, float64, float16, bfloat16, int64, int32, int16, int8, uint8, boolean
};

// Bytes of one value.
[[nodiscard]] std::size_t element_size(StorageType type);

// A tensor as a pickle describes it: which values of which storage. Counted in elements, and within
// the storage: no size is negative, no value outside of [0, storage_elements).
struct TensorPlace {
  StorageType type = StorageType::float32;
  std::string_view storage;  // the name of its entry, data/NAME; into the pickle
  std::int64_t storage_elements = 0;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // as many; not negative
};

inline constexpr ByteCount longest_state_pickle = ByteCount::mib(16);  // some 100 000 tensors

// What the pickle of a state_dict describes, by name. The views are into `pickle`.
//
// A pickle is a program for a stack machine (Python's Lib/pickletools.py describes each of its opcodes)
// that calls whatever it names. This reads it with a machine that can build texts, numbers, tuples, lists
// and dicts, and calls nothing: where a pickle names a function, it must be one of torch's rebuilding of tensors
// or OrderedDict, and this notes what that would have made. Every other name and opcode is refused by its
// name, as are pickles that hold anything else than one dict of tensors: invalid_data, with advice.
// Pickle protocols 2 to 5. Memory is a small multiple of the pickle's size.
[[nodiscard]] Result<std::map<std::string, TensorPlace>> read_state_pickle(BytesView pickle);

}  // namespace outcrop::weights
