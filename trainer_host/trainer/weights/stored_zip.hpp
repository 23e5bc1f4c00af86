#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::weights {

// A zip archive (PKWARE's APPNOTE.TXT 6.3, zip64 included) whose entries are stored as they are, which
// is how torch.save writes one: an entry is a piece of the file. Those that are compressed are listed.
//
// Strict, so that no two readers see two archives in the same bytes: nothing stands behind the
// directory; every name is there once, is the same before its data, and leads nowhere outside; no two
// entries share bytes; nothing is encrypted. Checksums are compared where an entry is read.
// invalid_data says what is wrong.
class StoredZip {
 public:
  struct Entry {
    BytesView data;
    bool compressed = false;
    std::uint32_t checksum = 0;  // CRC-32 as the directory says
  };

  // Views into `file`, which must outlive this object.
  [[nodiscard]] static Result<StoredZip> open(BytesView file);

  [[nodiscard]] const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  [[nodiscard]] bool contains(std::string_view name) const { return entries_.contains(name); }
  // The bytes of an entry; invalid_data where there is none of that name, or it is compressed or
  // damaged.
  [[nodiscard]] Result<BytesView> read(std::string_view name) const;

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace outcrop::weights
