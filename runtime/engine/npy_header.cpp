#include "runtime/engine/npy_header.hpp"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace outcrop::runtime {
namespace {

using Shape = std::vector<std::size_t>;

constexpr std::string_view magic{"\x93NUMPY", 6};
// NumPy writes headers of 128 bytes; its own reader refuses more than 10,000 by default.
constexpr std::size_t longest_header = 60000;

// Reads the one Python literal of a header: {'descr': '<f4', 'fortran_order': False,
// 'shape': (3, 4), }. Keys may stand in any order; all three and no others must be there.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  Status parse() {
    OUTCROP_CHECK(expect('{'));
    while (!accept('}')) {
      OUTCROP_TRY(key, quoted());
      OUTCROP_CHECK(expect(':'));
      OUTCROP_CHECK(value(key));
      if (!accept(',')) {
        OUTCROP_CHECK(expect('}'));
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) return malformed("nothing after the closing brace");
    if (!type || !fortran_order || !shape) {
      return fail(ErrorCode::invalid_data,
                  "its header lacks one of 'descr', 'fortran_order' and 'shape'");
    }
    return {};
  }

  std::optional<std::string> type;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;

 private:
  static tl::unexpected<Error> malformed(std::string_view expected) {
    return fail(ErrorCode::invalid_data,
                "its header is not a Python dictionary as NumPy writes it: expected " +
                    std::string(expected));
  }

  void skip_space() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) {
      rest_.remove_prefix(1);
    }
  }

  bool accept(char wanted) {
    skip_space();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  Status expect(char wanted) {
    if (accept(wanted)) return {};
    return malformed(std::string("'") + wanted + "'");
  }

  Result<std::string> quoted() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') OUTCROP_CHECK(expect('\''));
    const auto end = rest_.find(quote);
    if (end == std::string_view::npos) return malformed("a closing quote");
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return text;
  }

  Status value(const std::string& key) {
    if (key == "descr") {
      skip_space();
      if (!rest_.empty() && rest_.front() == '[') {
        return fail(ErrorCode::invalid_data,
                    "it holds records; needed is plain float32: array['field'].astype('<f4')");
      }
      OUTCROP_TRY(text, quoted());
      type = std::move(text);
      return {};
    }
    if (key == "fortran_order") {
      OUTCROP_TRY(flag, boolean());
      fortran_order = flag;
      return {};
    }
    if (key == "shape") {
      OUTCROP_TRY(extents, tuple());
      shape = std::move(extents);
      return {};
    }
    return malformed("no key '" + key + "'");
  }

  Result<bool> boolean() {
    skip_space();
    for (const auto& [word, truth] : {std::pair{"True", true}, std::pair{"False", false}}) {
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(std::string_view(word).size());
        return truth;
      }
    }
    return malformed("True or False");
  }

  Result<Shape> tuple() {
    Shape extents;
    OUTCROP_CHECK(expect('('));
    while (!accept(')')) {
      skip_space();
      std::size_t extent = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (error != std::errc()) return malformed("a whole number in 'shape'");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      if (rest_.starts_with('L')) rest_.remove_prefix(1);  // a long of Python 2
      extents.push_back(extent);
      if (!accept(',')) {
        OUTCROP_CHECK(expect(')'));
        break;
      }
    }
    return extents;
  }

  std::string_view rest_;
};

std::size_t little_endian(BytesView bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | std::to_integer<std::size_t>(bytes[i]);
  }
  return value;
}

}  // namespace

Result<NpyHeader> parse_npy_header(BytesView file) {
  if (file.size() < 10) {
    return fail(ErrorCode::invalid_data, "cut short: " + std::to_string(file.size()) +
                                             " bytes, less than the header of a .npy file");
  }
  if (as_text(file.first(magic.size())) != magic) {
    return fail(ErrorCode::invalid_data,
                "not a .npy file: it does not begin with \\x93NUMPY (written by numpy.save?)");
  }
  const auto version = std::to_integer<unsigned>(file[6]);
  if (version < 1 || version > 3) {
    return fail(ErrorCode::invalid_data,
                ".npy version " + std::to_string(version) + "; known are 1, 2 and 3");
  }
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t text_offset = 8 + length_bytes;
  const std::size_t length =
      file.size() < text_offset ? longest_header + 1 : little_endian(file.subspan(8, length_bytes));
  if (length > longest_header) {
    return fail(ErrorCode::invalid_data, "its header claims more than " +
                                             std::to_string(longest_header) + " bytes or is cut");
  }
  if (file.size() < text_offset + length) {
    return fail(ErrorCode::invalid_data,
                "cut short inside its header: " + std::to_string(file.size()) + " of at least " +
                    std::to_string(text_offset + length) + " bytes");
  }
  HeaderParser parser(as_text(file.subspan(text_offset, length)));
  OUTCROP_CHECK(parser.parse());
  if (*parser.fortran_order) {
    return fail(ErrorCode::invalid_data,
                "its values stand in Fortran order; needed is C order: "
                "numpy.ascontiguousarray(array)");
  }
  if ((text_offset + length) % sizeof(float) != 0) {
    return fail(ErrorCode::invalid_data, "its values start at byte " +
                                             std::to_string(text_offset + length) +
                                             ", not at a multiple of 4 (numpy.save pads to 64)");
  }
  return NpyHeader{std::move(*parser.type), std::move(*parser.shape), text_offset + length};
}

Bytes npy_header(std::string_view type, std::string_view shape) {
  std::string text = "{'descr': '" + std::string(type) +
                     "', 'fortran_order': False, 'shape': " + std::string(shape) + ", }";
  constexpr std::size_t front = 10;
  const std::size_t padded = (front + text.size() + 1 + 63) / 64 * 64;
  text.append(padded - front - text.size() - 1, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return to_bytes(header + text);
}

}  // namespace outcrop::runtime
