#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::runtime {

// The header of NumPy's .npy format (NEP 1), versions 1 to 3, of arrays in C order.

struct NpyHeader {
  std::string type;  // "<f4": as NumPy writes it, judged by the caller
  std::vector<std::size_t> shape;
  std::size_t data_offset = 0;  // from the beginning of the file; a multiple of 4
};

// Reads the header at the front of a .npy file. invalid_data says what was found and what would
// be right; the caller adds the path.
[[nodiscard]] Result<NpyHeader> parse_npy_header(BytesView file);

// Version 1, padded so that the values start at a multiple of 64 bytes. `shape` as Python prints
// it: "(3, 4)".
[[nodiscard]] Bytes npy_header(std::string_view type, std::string_view shape);

}  // namespace outcrop::runtime
