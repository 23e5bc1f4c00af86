#include "platform/config/toml_reader.hpp"

#include <algorithm>
#include <sstream>

#include "platform/config/toml_nesting.hpp"
#include "platform/text/nearest.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"

namespace outcrop::platform {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t deepest = 32;
constexpr const char* too_deep = "tables and lists stand in each other more than 32 deep";

std::string kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

template <class Number>
std::string spelled(Number number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

Result<toml::table> parse(const fs::path& file) {
  OUTCROP_TRY(text, read_text_file(file, ByteCount::mib(1)));
  if (const auto line = line_nested_too_deeply(text, deepest)) {
    return fail(ErrorCode::invalid_argument, file.string() + ":" + std::to_string(*line) + ": " + too_deep);
  }
  try {
    return toml::parse(text, file.string());
  } catch (const toml::parse_error& error) {
    std::string message = file.string() + ":" + std::to_string(error.source().begin.line) + ": ";
    return fail(ErrorCode::invalid_argument,
                message + "this is not TOML: " + std::string(error.description()));
  }
}

// Moves what `from` says into `into`. Moved, not copied: a copy forgets its file and line.
void merge(toml::table& into, toml::table&& from) {
  for (auto& [key, node] : from) {
    toml::table* inner = node.as_table();
    toml::table* present = into[key.str()].as_table();
    if (inner != nullptr && present != nullptr) {
      merge(*present, std::move(*inner));
      continue;
    }
    node.visit(
        [&, &name = key](auto& value) { into.insert_or_assign(name.str(), std::move(value)); });
  }
}

// How messages name what stands in no file.
constexpr std::string_view set_option = "--set ";

}  // namespace

Result<TomlReader> TomlReader::open(const fs::path& file, const std::vector<std::string>& settings) {
  TomlReader reader;
  reader.file_ = file;
  reader.files_ = {file};
  OUTCROP_TRY(root, parse(file));
  reader.root_ = std::move(root);
  OUTCROP_CHECK(reader.merge_drop_ins());
  for (const std::string& setting : settings) OUTCROP_CHECK(reader.merge_setting(setting));
  return reader;
}

Status TomlReader::merge_setting(const std::string& setting) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::invalid_argument,
                std::string(set_option) + setting + ": " + why +
                    "; it must be KEY=VALUE as in the file, train.batch=64, with texts in quotes: model.name='\"waves\"'");
  };
  const std::size_t equals = setting.find('=');
  if (equals == 0 || equals == std::string::npos) return refuse("there is no key and its value");
  if (setting.find_first_of("\r\n") != std::string::npos) return refuse("it has more than one line");
  if (line_nested_too_deeply(setting, deepest)) return refuse(too_deep);
  try {
    merge(root_, toml::parse(setting, std::string(set_option) + setting));
  } catch (const toml::parse_error& error) {
    return refuse("this is not TOML: " + std::string(error.description()));
  }
  return {};
}

Status TomlReader::merge_drop_ins() {
  fs::path folder = file_;
  folder += ".d";
  std::vector<fs::path> drop_ins;
  std::error_code error;
  if (!fs::exists(folder, error) && !error) return {};
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    // Names that begin with a dot are what editors and file managers leave.
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (!hidden && entry->path().extension() == ".toml") drop_ins.push_back(entry->path());
  }
  if (error) return fail(ErrorCode::io, "reading " + folder.string() + ": " + error.message());
  std::sort(drop_ins.begin(), drop_ins.end());
  for (const fs::path& drop_in : drop_ins) {
    OUTCROP_TRY(table, parse(drop_in));
    merge(root_, std::move(table));
    files_.push_back(drop_in);
  }
  return {};
}

TomlReader::Table TomlReader::root() {
  return {*this, &root_, ""};
}

Status TomlReader::status() const {
  if (error_) return fail(*error_);
  return {};
}

void TomlReader::fail_at(const toml::node* node, const std::string& key, const std::string& why) {
  if (error_) return;
  const auto line = node != nullptr ? node->source().begin.line : 0;
  const auto source = node != nullptr ? node->source().path : nullptr;
  std::string place = source ? *source : file_.string();
  if (line > 0 && !place.starts_with(set_option)) place += ":" + std::to_string(line);
  error_ = Error(ErrorCode::invalid_argument, place + ": " + key + ": " + why);
}

void TomlReader::refuse_unknown(const toml::node* node, const std::string& key,
                                const std::string& right) {
  if (only_missing_) error_.reset();
  only_missing_ = false;
  fail_at(node, key, "is not known here; " + right);
}

TomlReader::Table::Table(TomlReader& reader, const toml::table* table, std::string name)
    : reader_(&reader), table_(table), name_(std::move(name)) {}

std::string TomlReader::Table::full_name(std::string_view key) const {
  return name_.empty() ? std::string(key) : name_ + "." + std::string(key);
}

const toml::node* TomlReader::Table::find(std::string_view key, bool required) {
  if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) asked_.emplace_back(key);
  const toml::node* node = table_ != nullptr ? table_->get(key) : nullptr;
  if (node == nullptr && required && !reader_->error_) {
    reader_->fail_at(table_, full_name(key), "is missing");
    reader_->only_missing_ = true;
  }
  return node;
}

bool TomlReader::Table::has(std::string_view key) {
  return find(key, false) != nullptr;
}

void TomlReader::Table::refuse(std::string_view key, const std::string& why) {
  const toml::node* node = table_ != nullptr ? table_->get(key) : nullptr;
  reader_->fail_at(node != nullptr ? node : table_, full_name(key), why);
}

std::int64_t TomlReader::Table::integer(std::string_view key, std::optional<std::int64_t> fallback,
                                        std::int64_t lowest, std::int64_t highest) {
  const std::int64_t otherwise = fallback.value_or(lowest);
  const toml::node* node = find(key, !fallback);
  if (node == nullptr) return otherwise;
  const std::string right =
      "it must be an integer from " + std::to_string(lowest) + " to " + std::to_string(highest);
  if (!node->is_integer()) {
    refuse(key, "this is " + kind_of(*node) + "; " + right);
    return otherwise;
  }
  const std::int64_t value = node->as_integer()->get();
  if (value < lowest || value > highest) {
    refuse(key, std::to_string(value) + " is out of range; " + right);
    return otherwise;
  }
  return value;
}

double TomlReader::Table::number(std::string_view key, std::optional<double> fallback,
                                 double lowest, double highest) {
  const double otherwise = fallback.value_or(lowest);
  const toml::node* node = find(key, !fallback);
  if (node == nullptr) return otherwise;
  const std::string right =
      "it must be a number from " + spelled(lowest) + " to " + spelled(highest);
  if (!node->is_number()) {
    refuse(key, "this is " + kind_of(*node) + "; " + right);
    return otherwise;
  }
  const double value = *node->value<double>();
  if (!(value >= lowest && value <= highest)) {
    refuse(key, spelled(value) + " is out of range; " + right);
    return otherwise;
  }
  return value;
}

bool TomlReader::Table::boolean(std::string_view key, std::optional<bool> fallback) {
  const toml::node* node = find(key, !fallback);
  if (node == nullptr) return fallback.value_or(false);
  if (!node->is_boolean()) {
    refuse(key, "this is " + kind_of(*node) + "; it must be true or false, without quotes");
    return fallback.value_or(false);
  }
  return node->as_boolean()->get();
}

std::string TomlReader::Table::text(std::string_view key, std::optional<std::string> fallback) {
  const toml::node* node = find(key, !fallback);
  if (node == nullptr) return fallback.value_or("");
  if (!node->is_string() || node->as_string()->get().empty()) {
    refuse(key, "this is " + (node->is_string() ? std::string("empty") : kind_of(*node)) +
                    "; it must be text in quotes");
    return fallback.value_or("");
  }
  return node->as_string()->get();
}

std::vector<std::string> TomlReader::Table::texts(std::string_view key,
                                                  std::optional<std::vector<std::string>> fallback,
                                                  std::size_t most) {
  const toml::node* node = find(key, !fallback);
  if (node == nullptr) return fallback.value_or(std::vector<std::string>());
  const std::string right =
      "it must be a list of at most " + std::to_string(most) + " texts in quotes, [\"...\"]";
  std::vector<std::string> texts;
  if (!node->is_array()) {
    refuse(key, "this is " + kind_of(*node) + "; " + right);
    return texts;
  }
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_string() || element.as_string()->get().empty()) {
      refuse(key, "it holds " + (element.is_string() ? "an empty text" : kind_of(element)) + "; " +
                      right);
      return texts;
    }
    texts.push_back(element.as_string()->get());
  }
  if (texts.size() > most) refuse(key, "it has " + std::to_string(texts.size()) + "; " + right);
  return texts;
}

std::vector<std::int64_t> TomlReader::Table::integers(std::string_view key,
                                                      std::vector<std::int64_t> fallback,
                                                      std::int64_t lowest, std::int64_t highest,
                                                      std::size_t most) {
  const toml::node* node = find(key, false);
  if (node == nullptr) return fallback;
  const std::string right = "it must be a list of 1 to " + std::to_string(most) +
                            " integers from " + std::to_string(lowest) + " to " +
                            std::to_string(highest) + ", [32, 64]";
  std::vector<std::int64_t> integers;
  if (!node->is_array()) {
    refuse(key, "this is " + kind_of(*node) + "; " + right);
    return fallback;
  }
  for (const toml::node& element : *node->as_array()) {
    const auto value = element.is_integer() ? element.value<std::int64_t>() : std::nullopt;
    if (!value || *value < lowest || *value > highest) {
      refuse(key, "it holds " + (value ? std::to_string(*value) : kind_of(element)) + "; " + right);
      return fallback;
    }
    integers.push_back(*value);
  }
  if (integers.empty() || integers.size() > most) {
    refuse(key, "it has " + std::to_string(integers.size()) + "; " + right);
    return fallback;
  }
  return integers;
}

fs::path TomlReader::Table::path(std::string_view key, std::optional<fs::path> fallback) {
  return beside_file(text(key, fallback ? std::optional(fallback->string()) : std::nullopt));
}

std::vector<fs::path> TomlReader::Table::paths(std::string_view key, std::size_t most) {
  const toml::node* node = find(key, true);
  if (node == nullptr || !node->is_array()) return {path(key, std::nullopt)};
  std::vector<fs::path> paths;
  for (const std::string& text : texts(key, std::nullopt, most)) paths.push_back(beside_file(text));
  if (paths.empty()) refuse(key, "it is an empty list; name at least one");
  return paths;
}

fs::path TomlReader::Table::beside_file(const fs::path& path) const {
  if (path.empty() || path.is_absolute()) return path;
  return (reader_->file_.parent_path() / path).lexically_normal();
}

std::vector<std::string> TomlReader::Table::table_names() {
  std::vector<std::string> names;
  if (table_ == nullptr) return names;
  for (const auto& [key, node] : *table_) {
    if (node.is_table()) names.emplace_back(key.str());
  }
  return names;
}

TomlReader::Table TomlReader::Table::table(std::string_view key) {
  const toml::node* node = find(key, false);
  if (node != nullptr && !node->is_table()) {
    refuse(key, "this is " + kind_of(*node) + "; it must be a table, [" + full_name(key) + "]");
    node = nullptr;
  }
  return {*reader_, node != nullptr ? node->as_table() : nullptr, full_name(key)};
}

void TomlReader::Table::finish(const std::string& right) {
  if (table_ == nullptr) return;
  const std::string known = right.empty() ? "known are " + join(asked_) : right;
  for (const auto& [key, node] : *table_) {
    if (std::find(asked_.begin(), asked_.end(), key.str()) != asked_.end()) continue;
    const auto meant = platform::nearest(key.str(), asked_);
    reader_->refuse_unknown(&node, full_name(key.str()),
                            (meant ? "did you mean " + full_name(*meant) + "? " : "") + known);
  }
}

}  // namespace outcrop::platform
