#pragma once

#include <string>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::runtime {

// An image as a PNG file (ISO/IEC 15948), read and written by libpng.

[[nodiscard]] bool is_png(BytesView bytes);

// float32 [1, channels, rows, columns] without a name: 0 to 255, a channel of a grey image, three (red,
// green, blue) of one in colour or with a palette. 16 bits become 8. Transparency is dropped where
// nothing is transparent. invalid_data where the file is cut short or damaged, anything of it is
// transparent, or it has more than 4096 rows or columns.
[[nodiscard]] Result<Tensor> decode_png(BytesView bytes);

// Eight bits of gray, a byte for each pixel, row by row. invalid_argument where there are not rows × columns of them.
[[nodiscard]] Result<std::string> encode_png(std::size_t rows, std::size_t columns, std::string_view gray);

}  // namespace outcrop::runtime
