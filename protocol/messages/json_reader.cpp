#include "protocol/messages/json_reader.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "protocol/base/cut_short.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "protocol/base/without_controls.hpp"
#include "protocol/messages/names.hpp"

namespace outcrop::messages {
namespace {

// The parser's words without its name for them: "[json.exception.parse_error.101] parse error ...".
std::string_view without_name(std::string_view text) {
  const std::size_t end = text.find("] ");
  return text.starts_with('[') && end != std::string_view::npos ? text.substr(end + 2) : text;
}

// What comes from others ends on terminals, in our messages too.
std::string printable(std::string_view text) {
  return without_controls(cut_short(text, 200));
}

bool has_control_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (control_at(text, i) > 0) return true;
  }
  return false;
}

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<Json> parse_object(std::string_view text, ByteCount limit, std::string_view what) {
  const std::string name(what);
  if (text.size() > limit.value()) {
    return fail(ErrorCode::invalid_data, name + ": has " + ByteCount(text.size()).human() +
                                             ", more than the " + limit.human() + " allowed");
  }
  if (nested_too_deeply(text, deepest_nesting)) {
    return fail(ErrorCode::invalid_data,
                name + ": nested more than " + std::to_string(deepest_nesting) + " levels deep");
  }
  std::vector<std::set<std::string>> open_objects;
  std::optional<std::string> duplicate;
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == Json::parse_event_t::object_end) open_objects.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second && !duplicate) duplicate = key;
    }
    return true;
  };
  Json document;
  try {
    document = Json::parse(text, watch);
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::invalid_data, name + ": not valid JSON: " + printable(without_name(error.what())));
  }
  if (duplicate) {
    return fail(ErrorCode::invalid_data,
                name + ": the key '" + printable(*duplicate) + "' stands twice in one object");
  }
  if (!document.is_object()) {
    return fail(ErrorCode::invalid_data, name + ": not a JSON object");
  }
  return document;
}

Status check_type(const Json& object, std::string_view type, std::string_view protocol_key) {
  const auto found = object.find("type");
  if (found == object.end() || !found->is_string() ||
      found->get_ref<const std::string&>() != type) {
    const bool text = found != object.end() && found->is_string();
    return fail(ErrorCode::invalid_data,
                std::string(type) + ": the document's type is " +
                    (text ? "'" + printable(found->get_ref<const std::string&>()) + "'"
                          : std::string("missing")) +
                    ", but should be '" + std::string(type) + "'");
  }
  const auto protocol = object.find(protocol_key);
  if (protocol == object.end() || !protocol->is_number_unsigned() ||
      protocol->get<std::uint64_t>() == 0) {
    return fail(ErrorCode::invalid_data, std::string(type) + "." + std::string(protocol_key) +
                                             ": must be an integer from 1");
  }
  if (protocol->get<std::uint64_t>() > static_cast<std::uint64_t>(protocol_version)) {
    return fail(ErrorCode::unsupported, std::string(type) + ": too new: it needs protocol " +
                                            json_text(*protocol) + ", and this program speaks " +
                                            std::to_string(protocol_version) +
                                            "; a newer outcrop can read it");
  }
  return {};
}

ObjectReader::ObjectReader(const Json& object, std::string path)
    : ObjectReader(&object, std::move(path), std::make_shared<std::optional<Error>>()) {}

ObjectReader::ObjectReader(const Json* object, std::string path,
                           std::shared_ptr<std::optional<Error>> failure)
    : object_(object), path_(std::move(path)), failure_(std::move(failure)) {
  if (object_ != nullptr && !object_->is_object()) {
    refuse("", "must be an object");
    object_ = nullptr;
  }
}

void ObjectReader::refuse(std::string_view key, std::string_view why) {
  if (*failure_) return;
  const std::string at = key.empty() ? path_ : path_ + "." + printable(key);
  *failure_ = Error(ErrorCode::invalid_data, at + ": " + std::string(why));
}

Status ObjectReader::status() const {
  if (*failure_) return fail(**failure_);
  return {};
}

const Json* ObjectReader::find(std::string_view key) {
  read_.emplace(key);
  if (object_ == nullptr || *failure_) return nullptr;
  const auto found = object_->find(key);
  if (found == object_->end()) {
    refuse(key, "is missing");
    return nullptr;
  }
  return &*found;
}

const Json* ObjectReader::find_string(std::string_view key, std::size_t longest) {
  const Json* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_string()) {
    refuse(key, "must be a text");
    return nullptr;
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > longest) {
    refuse(key, "has more than " + std::to_string(longest) + " bytes");
    return nullptr;
  }
  if (has_control_characters(text)) {
    refuse(key, "holds control characters");
    return nullptr;
  }
  return value;
}

std::string ObjectReader::text(std::string_view key, std::size_t longest) {
  const Json* value = find_string(key, longest);
  return value == nullptr ? std::string() : value->get<std::string>();
}

std::string ObjectReader::lines(std::string_view key, std::size_t longest) {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_string() || value->get_ref<const std::string&>().size() > longest) {
    refuse(key, "must be a text of at most " + std::to_string(longest) + " bytes");
    return {};
  }
  std::string text = value->get<std::string>();
  std::string without_breaks = text;
  std::erase_if(without_breaks, [](char c) { return c == '\n' || c == '\r' || c == '\t'; });
  if (has_control_characters(without_breaks)) {
    refuse(key, "holds control characters other than line breaks and tabs");
    return {};
  }
  return text;
}

bool ObjectReader::boolean(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) {
    refuse(key, "must be true or false");
    return false;
  }
  return value->get<bool>();
}

std::string ObjectReader::name(std::string_view key) {
  std::string value = text(key);
  if (ok() && !is_name(value)) {
    refuse(key, "'" + value + "' is not a name: 1 to 63 of a-z, 0-9 and -");
  }
  return value;
}

std::string ObjectReader::name_or_empty(std::string_view key) {
  std::string value = text(key);
  if (ok() && !value.empty() && !is_name(value)) {
    refuse(key, "'" + value + "' is not a name: 1 to 63 of a-z, 0-9 and -");
  }
  return value;
}

std::uint64_t ObjectReader::integer(std::string_view key, std::uint64_t least, std::uint64_t most) {
  const Json* value = find(key);
  if (value == nullptr) return least;
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() < least ||
      value->get<std::uint64_t>() > most) {
    refuse(key, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most) +
                    ", not " + printable(json_text(*value)));
    return least;
  }
  return value->get<std::uint64_t>();
}

std::int64_t ObjectReader::signed_integer(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr) return 0;
  constexpr auto most = static_cast<std::int64_t>(largest_integer);
  const bool good = value->is_number_unsigned()
                        ? value->get<std::uint64_t>() <= largest_integer
                        : value->is_number_integer() && value->get<std::int64_t>() >= -most;
  if (good) return value->get<std::int64_t>();
  refuse(key, "must be an integer of at most 2^53 - 1, not " + printable(json_text(*value)));
  return 0;
}

double ObjectReader::number(std::string_view key, double least, double most) {
  const Json* value = find(key);
  if (value == nullptr) return least;
  const double found = value->is_number() ? value->get<double>() : std::nan("");
  if (!(found >= least && found <= most)) {
    refuse(key, "must be a number from " + json_text(Json(least)) + " to " + json_text(Json(most)) +
                    ", not " + printable(json_text(*value)));
    return least;
  }
  return found;
}

trust::Sha256Digest ObjectReader::digest(std::string_view key) {
  const std::string value = text(key);
  if (!ok()) return {};
  const auto digest = trust::Sha256Digest::from_hex(value);
  if (!digest) {
    refuse(key, digest.error().message());
    return {};
  }
  return *digest;
}

std::optional<trust::Sha256Digest> ObjectReader::digest_or_empty(std::string_view key) {
  const Json* value = find_string(key, 256);
  if (value == nullptr || value->get_ref<const std::string&>().empty()) return std::nullopt;
  return digest(key);
}

Timestamp ObjectReader::time(std::string_view key) {
  const std::string value = text(key);
  if (!ok()) return {};
  const auto time = from_rfc3339(value);
  if (!time) {
    refuse(key, time.error().message());
    return {};
  }
  return *time;
}

std::size_t ObjectReader::choice(std::string_view key,
                                 std::initializer_list<std::string_view> choices) {
  const std::string value = text(key);
  const auto found = std::find(choices.begin(), choices.end(), value);
  if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  if (ok()) {
    std::string all;
    for (std::string_view choice : choices) {
      all += (all.empty() ? "" : ", ") + std::string(choice);
    }
    refuse(key, "'" + value + "' is none of: " + all);
  }
  return 0;
}

void ObjectReader::constant(std::string_view key, std::string_view value) {
  const std::string found = text(key);
  if (ok() && found != value) {
    refuse(key, "is '" + found + "', but should be '" + std::string(value) + "'");
  }
}

bool ObjectReader::null(std::string_view key) {
  const Json* value = find(key);
  return value == nullptr || value->is_null();
}

ObjectReader ObjectReader::object(std::string_view key) {
  return {find(key), path_ + "." + printable(key), failure_};
}

void ObjectReader::objects(std::string_view key, std::size_t fewest, std::size_t most,
                           const std::function<void(ObjectReader&)>& read) {
  const Json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_array() || value->size() < fewest || value->size() > most) {
    refuse(key, "must be an array of " + std::to_string(fewest) + " to " + std::to_string(most) +
                    " objects");
    return;
  }
  for (std::size_t i = 0; i < value->size() && ok(); ++i) {
    ObjectReader element(&(*value)[i],
                         path_ + "." + std::string(key) + "[" + std::to_string(i) + "]", failure_);
    read(element);
  }
}

std::vector<std::string> ObjectReader::texts(std::string_view key, std::size_t most,
                                             std::size_t longest) {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array() || value->size() > most) {
    refuse(key, "must be an array of at most " + std::to_string(most) + " texts");
    return {};
  }
  std::vector<std::string> all;
  for (const Json& element : *value) {
    const auto* text = element.get_ptr<const std::string*>();
    if (text == nullptr || text->size() > longest || has_control_characters(*text)) {
      refuse(key, "must hold texts of at most " + std::to_string(longest) +
                      " bytes without control characters");
      return {};
    }
    all.push_back(*text);
  }
  return all;
}

std::vector<std::int64_t> ObjectReader::dimensions(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr) return {};
  std::vector<std::int64_t> shape;
  bool good = value->is_array() && value->size() <= 8;
  for (std::size_t i = 0; good && i < value->size(); ++i) {
    const Json& element = (*value)[i];
    good = element.is_number_unsigned() && element.get<std::uint64_t>() > 0 &&
           element.get<std::uint64_t>() <= (std::uint64_t{1} << 31);
    if (good) shape.push_back(element.get<std::int64_t>());
  }
  if (!good) refuse(key, "must be an array of at most 8 dimensions above 0");
  return shape;
}

std::vector<std::variant<std::int64_t, std::string>> ObjectReader::sizes(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr) return {};
  std::vector<std::variant<std::int64_t, std::string>> sizes;
  bool good = value->is_array() && value->size() <= 8;
  for (std::size_t i = 0; good && i < value->size(); ++i) {
    const Json& element = (*value)[i];
    if (const auto* name = element.get_ptr<const std::string*>()) {
      sizes.emplace_back(*name);
      continue;
    }
    good = element.is_number_unsigned() && element.get<std::uint64_t>() > 0 &&
           element.get<std::uint64_t>() <= (std::uint64_t{1} << 31);
    if (good) sizes.emplace_back(element.get<std::int64_t>());
  }
  if (!good) refuse(key, "must be an array of at most 8 dimensions: sizes above 0, or names");
  return sizes;
}

std::vector<double> ObjectReader::numbers(std::string_view key, std::size_t fewest,
                                          std::size_t most, double largest) {
  const Json* value = find(key);
  if (value == nullptr) return {};
  std::vector<double> numbers;
  bool good = value->is_array() && value->size() >= fewest && value->size() <= most;
  for (std::size_t i = 0; good && i < value->size(); ++i) {
    const Json& element = (*value)[i];
    good = element.is_number() && std::abs(element.get<double>()) <= largest;
    if (good) numbers.push_back(element.get<double>());
  }
  if (good) return numbers;
  refuse(key, "must be an array of " + std::to_string(fewest) +
                  (most == fewest ? "" : " to " + std::to_string(most)) + " numbers");
  return {};
}

bool ObjectReader::has(std::string_view key) const {
  return object_ != nullptr && !*failure_ && object_->contains(key);
}

std::vector<std::string> ObjectReader::keys(std::size_t most) {
  if (object_ == nullptr || *failure_) return {};
  if (object_->size() > most) {
    refuse("", "has more than " + std::to_string(most) + " keys");
    return {};
  }
  std::vector<std::string> all;
  for (const auto& [key, value] : object_->items()) {
    if (key.empty() || key.size() > 256 || has_control_characters(key)) {
      refuse(key, "is not a usable key");
      return {};
    }
    all.push_back(key);
  }
  return all;
}

void ObjectReader::done() {
  if (object_ == nullptr || *failure_) return;
  for (const auto& [key, value] : object_->items()) {
    if (!read_.contains(key)) {
      refuse(key, "is an unknown key");
      return;
    }
  }
}

}  // namespace outcrop::messages
