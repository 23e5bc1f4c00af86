#include "trainer_host/trainer/weights/stored_zip.hpp"

#include <zlib.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace outcrop::weights {
namespace {

// Sizes of the fixed parts of APPNOTE's records, and what stands in a field that zip64 widens.
constexpr std::size_t local_bytes = 30;
constexpr std::size_t central_bytes = 46;
constexpr std::size_t end_bytes = 22;
constexpr std::size_t end64_bytes = 56;
constexpr std::size_t locator_bytes = 20;
constexpr std::uint64_t widened16 = 0xffff;
constexpr std::uint64_t widened32 = 0xffffffff;

tl::unexpected<Error> bad_zip(std::string message) {
  return fail(ErrorCode::invalid_data, "zip archive: " + std::move(message));
}

// The caller has checked that `at` + `count` bytes are there.
std::uint64_t number_at(BytesView bytes, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) {
    value = (value << 8) | std::to_integer<std::uint64_t>(bytes[at + i]);
  }
  return value;
}

bool has_mark(BytesView bytes, std::string_view mark) {
  return as_text(bytes).starts_with(mark);
}

struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t entries = 0;
};

// It must reach to the end record at `end`.
Status check_directory(const Directory& directory, std::uint64_t end) {
  if (directory.offset <= end && directory.size == end - directory.offset) return {};
  return bad_zip("its directory is not where it says");
}

// What the plain end record says must be the same, or left to the wide one.
bool agree(std::uint64_t plain, std::uint64_t widened, std::uint64_t wide) {
  return plain == wide || plain == widened;
}

// Of zip64, whose record is named by a locator right before the plain end record.
Result<Directory> wide_directory(BytesView file, std::size_t locator) {
  const std::uint64_t at = number_at(file, locator + 8, 8);
  if (at > locator || locator - at < end64_bytes || !has_mark(file.subspan(at), "PK\x06\x06")) {
    return bad_zip("its zip64 end record is not where it says");
  }
  const BytesView end = file.subspan(at, end64_bytes);
  if (number_at(end, 16, 4) != 0 || number_at(end, 20, 4) != 0 ||
      number_at(end, 24, 8) != number_at(end, 32, 8)) {
    return bad_zip("it is one of several parts");
  }
  const Directory directory{number_at(end, 48, 8), number_at(end, 40, 8), number_at(end, 32, 8)};
  OUTCROP_CHECK(check_directory(directory, at));
  return directory;
}

Result<Directory> find_directory(BytesView file) {
  if (file.size() < end_bytes || !has_mark(file.last(end_bytes), std::string_view("PK\x05\x06", 4))) {
    return bad_zip("cut short, or something follows it: it does not end with a directory");
  }
  const std::size_t at = file.size() - end_bytes;
  const BytesView end = file.subspan(at);
  if (number_at(end, 20, 2) != 0) return bad_zip("a comment is promised, and cut short");
  const Directory directory{number_at(end, 16, 4), number_at(end, 12, 4), number_at(end, 10, 2)};
  if (at >= locator_bytes && has_mark(file.subspan(at - locator_bytes), "PK\x06\x07")) {
    OUTCROP_TRY(wide, wide_directory(file, at - locator_bytes));
    if (agree(directory.offset, widened32, wide.offset) && agree(directory.size, widened32, wide.size) &&
        agree(directory.entries, widened16, wide.entries)) {
      return wide;
    }
    return bad_zip("its two end records say two things");
  }
  if (number_at(end, 4, 4) != 0 || number_at(end, 8, 2) != directory.entries) {
    return bad_zip("it is one of several parts");
  }
  if (directory.entries == widened16 || directory.offset == widened32 || directory.size == widened32) {
    return bad_zip("its zip64 end record is missing");
  }
  OUTCROP_CHECK(check_directory(directory, at));
  return directory;
}

// An entry of the directory, before a look at its data.
struct Listed {
  std::string name;
  std::uint64_t packed = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  std::uint64_t method = 0;  // 0: stored
  std::uint32_t checksum = 0;
};

// The three that zip64 may widen, in the order in which its extra field has them.
Status widen(Listed& listed, BytesView extra) {
  if (listed.size != widened32 && listed.packed != widened32 && listed.offset != widened32) return {};
  while (extra.size() >= 4) {
    const std::uint64_t id = number_at(extra, 0, 2);
    const std::uint64_t length = number_at(extra, 2, 2);
    extra = extra.subspan(4);
    if (length > extra.size()) break;
    if (id != 1) {
      extra = extra.subspan(length);
      continue;
    }
    BytesView wide = extra.first(length);
    for (std::uint64_t* const field : {&listed.size, &listed.packed, &listed.offset}) {
      if (*field != widened32) continue;
      if (wide.size() < 8) return bad_zip("the zip64 sizes of '" + listed.name + "' are cut short");
      *field = number_at(wide, 0, 8);
      wide = wide.subspan(8);
    }
    return {};
  }
  return bad_zip("the zip64 sizes of '" + listed.name + "' are missing");
}

Status check_name(const std::string& name) {
  const bool outside = name.empty() || name.front() == '/' || name.find('\0') != std::string::npos ||
                       name.find('\\') != std::string::npos ||
                       ("/" + name + "/").find("/../") != std::string::npos;
  if (!outside) return {};
  return bad_zip("'" + name + "' is no name inside of it");
}

// Takes the next entry off the front of `directory`.
Result<Listed> take_listed(BytesView& directory) {
  if (directory.size() < central_bytes ||
      !has_mark(directory, std::string_view("PK\x01\x02", 4))) {
    return bad_zip("its directory is cut short or damaged");
  }
  const std::size_t name = number_at(directory, 28, 2);
  const std::size_t extra = number_at(directory, 30, 2);
  const std::size_t comment = number_at(directory, 32, 2);
  if (directory.size() - central_bytes < name + extra + comment) {
    return bad_zip("its directory is cut short");
  }
  Listed listed;
  listed.name = as_text(directory.subspan(central_bytes, name));
  OUTCROP_CHECK(check_name(listed.name));
  if ((number_at(directory, 8, 2) & 1) != 0) return bad_zip("'" + listed.name + "' is encrypted");
  listed.method = number_at(directory, 10, 2);
  listed.checksum = static_cast<std::uint32_t>(number_at(directory, 16, 4));
  listed.packed = number_at(directory, 20, 4);
  listed.size = number_at(directory, 24, 4);
  listed.offset = number_at(directory, 42, 4);
  OUTCROP_CHECK(widen(listed, directory.subspan(central_bytes + name, extra)));
  if (listed.method == 0 && listed.packed != listed.size) {
    return bad_zip("'" + listed.name + "' is stored, yet has two sizes");
  }
  directory = directory.subspan(central_bytes + name + extra + comment);
  return listed;
}

// `before`: what stands before the directory, where all data lie.
Result<BytesView> data_of(const Listed& listed, BytesView before) {
  const auto outside = [&] { return bad_zip("'" + listed.name + "' lies outside of it"); };
  if (listed.offset > before.size() || before.size() - listed.offset < local_bytes) return outside();
  const BytesView local = before.subspan(listed.offset);
  if (!has_mark(local, std::string_view("PK\x03\x04", 4))) {
    return bad_zip("'" + listed.name + "' is not where the directory says");
  }
  const std::size_t name = number_at(local, 26, 2);
  const std::size_t extra = number_at(local, 28, 2);
  if (local.size() - local_bytes < name + extra) return outside();
  if (as_text(local.subspan(local_bytes, name)) != listed.name || number_at(local, 8, 2) != listed.method) {
    return bad_zip("'" + listed.name + "' is another entry before its data than in the directory");
  }
  const BytesView data = local.subspan(local_bytes + name + extra);
  if (listed.packed > data.size()) return outside();
  return data.first(listed.packed);
}

}  // namespace

Result<StoredZip> StoredZip::open(BytesView file) {
  OUTCROP_TRY(directory, find_directory(file));
  const BytesView before = file.first(directory.offset);
  BytesView rest = file.subspan(directory.offset, directory.size);
  StoredZip zip;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;  // in the file, headers included
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    OUTCROP_TRY(listed, take_listed(rest));
    OUTCROP_TRY(data, data_of(listed, before));
    ranges.emplace_back(listed.offset, static_cast<std::uint64_t>(data.data() - file.data()) + data.size());
    if (!zip.entries_.emplace(listed.name, Entry{data, listed.method != 0, listed.checksum}).second) {
      return bad_zip("'" + listed.name + "' is there twice");
    }
  }
  if (!rest.empty()) return bad_zip("its directory has more entries than it says");
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return bad_zip("two of its entries overlap");
  }
  return zip;
}

Result<BytesView> StoredZip::read(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return bad_zip("'" + std::string(name) + "' is missing");
  if (found->second.compressed) {
    return bad_zip("'" + std::string(name) +
                   "' is compressed; torch.save stores entries as they are, and so do zip -0 and "
                   "Python's zipfile.ZIP_STORED");
  }
  const BytesView data = found->second.data;
  const auto* const bytes = reinterpret_cast<const Bytef*>(data.data());
  if (::crc32_z(0, bytes, data.size()) != found->second.checksum) {
    return bad_zip("'" + std::string(name) +
                   "' is damaged, or was written without its checksum "
                   "(torch.serialization.set_crc32_options(False))");
  }
  return data;
}

}  // namespace outcrop::weights
