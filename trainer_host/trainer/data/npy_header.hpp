#pragma once

#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {

struct NpyHeader {
  Shape shape;
  std::size_t data_offset = 0;  // from the beginning of the file; a multiple of 4
};

// Reads the header at the front of a .npy file. invalid_data says what was found and what would
// be right; the caller adds the path.
[[nodiscard]] Result<NpyHeader> parse_npy_header(BytesView file);

}  // namespace outcrop::data
