#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::messages {

// Strict reading of the documents in SCHEMA.md. For the codecs' .cpp files only: nlohmann's types
// stay out of the headers that others include.

using Json = nlohmann::json;

inline constexpr std::size_t deepest_nesting = 16;
inline constexpr std::uint64_t largest_integer = (std::uint64_t{1} << 53) - 1;

// One JSON object and nothing else. invalid_data for text above `limit` (before anything is
// parsed), nesting above 16, duplicate keys, malformed UTF-8 or JSON.
[[nodiscard]] Result<Json> parse_object(std::string_view text, ByteCount limit,
                                        std::string_view what);

// Reads the fields of one object, each once. The first thing that is wrong is kept with its path;
// later reads return empty values, so that a codec is a plain list of fields, ending in the check
// of status(). Unknown keys are found by done(), which every object's reader must call.
class ObjectReader {
 public:
  // The outermost object; `path` names the document.
  ObjectReader(const Json& object, std::string path);

  [[nodiscard]] std::string text(std::string_view key, std::size_t longest = 256);
  // Text of several lines, as PEM files and envelopes are: line feeds and tabs are allowed.
  [[nodiscard]] std::string lines(std::string_view key, std::size_t longest);
  [[nodiscard]] bool boolean(std::string_view key);
  [[nodiscard]] std::string name(std::string_view key);           // [a-z0-9-]{1,63}
  [[nodiscard]] std::string name_or_empty(std::string_view key);  // or ""
  [[nodiscard]] std::uint64_t integer(std::string_view key, std::uint64_t least,
                                      std::uint64_t most = largest_integer);
  [[nodiscard]] std::int64_t signed_integer(std::string_view key);  // within ±largest_integer
  [[nodiscard]] ByteCount size(std::string_view key) { return ByteCount(integer(key, 0)); }
  [[nodiscard]] double number(std::string_view key, double least, double most);
  [[nodiscard]] trust::Sha256Digest digest(std::string_view key);
  [[nodiscard]] std::optional<trust::Sha256Digest> digest_or_empty(std::string_view key);
  [[nodiscard]] Timestamp time(std::string_view key);
  // The index of the text in `choices`.
  [[nodiscard]] std::size_t choice(std::string_view key,
                                   std::initializer_list<std::string_view> choices);
  // A text that must be exactly this.
  void constant(std::string_view key, std::string_view value);
  // Whether the value is null; if so the field counts as read.
  [[nodiscard]] bool null(std::string_view key);

  [[nodiscard]] ObjectReader object(std::string_view key);
  // Array of objects; `read` is called for each and must call done().
  void objects(std::string_view key, std::size_t fewest, std::size_t most,
               const std::function<void(ObjectReader&)>& read);
  [[nodiscard]] std::vector<std::string> texts(std::string_view key, std::size_t most,
                                               std::size_t longest = 256);
  [[nodiscard]] std::vector<std::int64_t> dimensions(std::string_view key);
  // Sizes above 0, or texts that name them: at most 8.
  [[nodiscard]] std::vector<std::variant<std::int64_t, std::string>> sizes(std::string_view key);
  // Array of numbers of at most `largest`, whatever their sign.
  [[nodiscard]] std::vector<double> numbers(std::string_view key, std::size_t fewest,
                                            std::size_t most, double largest);
  // Whether a key that may be left out is there.
  [[nodiscard]] bool has(std::string_view key) const;
  // Keys of an object whose keys are data (names of outputs, key ids): at most `most`.
  [[nodiscard]] std::vector<std::string> keys(std::size_t most);

  // For what a codec checks beyond types: "manifest.variants[0].name: ...".
  void refuse(std::string_view key, std::string_view why);
  void done();
  [[nodiscard]] bool ok() const { return !*failure_; }
  [[nodiscard]] Status status() const;

 private:
  ObjectReader(const Json* object, std::string path, std::shared_ptr<std::optional<Error>> failure);
  const Json* find(std::string_view key);
  const Json* find_string(std::string_view key, std::size_t longest);

  const Json* object_;  // null where something was wrong already
  std::string path_;
  std::set<std::string, std::less<>> read_;
  std::shared_ptr<std::optional<Error>> failure_;
};

// Reads `type` and the protocol field of a document and refuses what is of another type
// (invalid_data) or too new (unsupported), before any other key is looked at.
[[nodiscard]] Status check_type(const Json& object, std::string_view type,
                                std::string_view protocol_key);

}  // namespace outcrop::messages
