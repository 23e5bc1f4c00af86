#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/bytes.hpp"

namespace outcrop::weights {

// What to do differently from an honest archive.
struct ZipTricks {
  std::uint16_t method = 0;
  std::uint16_t flags = 0;
  std::string local_prefix = {};           // before the name that stands before the data
  std::uint32_t more_size = 0;        // added to what the directory says of the last entry
  std::uint32_t more_checksum = 0;    // likewise
  bool same_offset = false;           // all entries at the first one's place
  bool zip64 = false;                 // sizes and directory by 64-bit records
  std::uint64_t wide_size = 0;        // with zip64: what the last entry's size is, where not 0
};

// An archive of stored entries.
inline std::string zip_of(const std::vector<std::pair<std::string, std::string>>& entries,
                          const ZipTricks& tricks = {}) {
  const auto number = [](std::uint64_t value, std::size_t bytes) {
    std::string text;
    for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
  };
  std::string file;
  std::string directory;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& [name, data] = entries[i];
    const bool last = i + 1 == entries.size();
    const auto checksum = static_cast<std::uint32_t>(
                              ::crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size())) +
                          (last ? tricks.more_checksum : 0);
    const std::uint64_t offset = tricks.same_offset ? 0 : file.size();
    const std::string local_name = tricks.local_prefix + name;
    file += std::string("PK\x03\x04", 4) + number(20, 2) + number(tricks.flags, 2) +
            number(tricks.method, 2) + number(0, 4) + number(checksum, 4) + number(data.size(), 4) +
            number(data.size(), 4) + number(local_name.size(), 2) + number(0, 2) + local_name + data;
    std::uint64_t size = data.size() + (last ? tricks.more_size : 0);
    std::string extra;
    if (tricks.zip64) {
      if (last && tricks.wide_size != 0) size = tricks.wide_size;
      extra = number(1, 2) + number(24, 2) + number(size, 8) + number(size, 8) + number(offset, 8);
      size = 0xffffffff;
    }
    directory += std::string("PK\x01\x02", 4) + number(20, 4) + number(tricks.flags, 2) +
                 number(tricks.method, 2) + number(0, 4) + number(checksum, 4) + number(size, 4) +
                 number(size, 4) + number(name.size(), 2) + number(extra.size(), 2) + number(0, 2) +
                 number(0, 2) + number(0, 2) + number(0, 4) + number(tricks.zip64 ? 0xffffffff : offset, 4) +
                 name + extra;
  }
  const std::size_t offset = file.size();
  file += directory;
  if (tricks.zip64) {
    const std::size_t end = file.size();
    file += std::string("PK\x06\x06", 4) + number(44, 8) + number(45, 4) + number(0, 8) +
            number(entries.size(), 8) + number(entries.size(), 8) + number(directory.size(), 8) +
            number(offset, 8);
    file += std::string("PK\x06\x07", 4) + number(0, 4) + number(end, 8) + number(1, 4);
  }
  file += std::string("PK\x05\x06", 4) + number(0, 4) + number(entries.size(), 2) +
          number(entries.size(), 2) + number(directory.size(), 4) + number(offset, 4) + number(0, 2);
  return file;
}

}  // namespace outcrop::weights
