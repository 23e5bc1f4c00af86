#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::platform {

// Strict reading of a TOML file and its drop-ins: what FILE.d/*.toml say, in the order of their
// names, replaces what FILE says, key by key (a list as a whole). Each value is asked for by name,
// with its type and bounds, and what nobody asked for is refused. The first mistake is kept
// (but an unknown key says more than a missing one) and every later question answered with its
// default, so that a caller reads the whole file and asks for `status()` once. Messages are
// "FILE:LINE: KEY: what is wrong; what would be right", with the file that says it.
class TomlReader {
 public:
  // not_found or io when a file cannot be read; invalid_argument when it is no TOML. FILE must be
  // there, FILE.d need not. `settings` are said on a command line and replace what files say, one key each, as
  // TOML has it: "train.batch=64", "model.widths=[16, 32]".
  [[nodiscard]] static Result<TomlReader> open(const std::filesystem::path& file,
                                               const std::vector<std::string>& settings = {});

  // One table of the file, [name]; a missing one reads as empty.
  class Table {
   public:
    [[nodiscard]] std::int64_t integer(std::string_view key, std::optional<std::int64_t> fallback,
                                       std::int64_t lowest, std::int64_t highest);
    [[nodiscard]] double number(std::string_view key, std::optional<double> fallback, double lowest,
                                double highest);
    [[nodiscard]] bool boolean(std::string_view key, std::optional<bool> fallback);
    [[nodiscard]] std::string text(std::string_view key, std::optional<std::string> fallback);
    // An array of texts, none of them empty.
    [[nodiscard]] std::vector<std::string> texts(std::string_view key,
                                                 std::optional<std::vector<std::string>> fallback,
                                                 std::size_t most);
    // An array of integers, each within these bounds, at least one of them.
    [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key,
                                                     std::vector<std::int64_t> fallback,
                                                     std::int64_t lowest, std::int64_t highest,
                                                     std::size_t most);
    // A relative path starts at the folder of FILE, in a drop-in too.
    [[nodiscard]] std::filesystem::path path(std::string_view key,
                                             std::optional<std::filesystem::path> fallback);
    // One path or a list of them, [...], at least one and at most `most`.
    [[nodiscard]] std::vector<std::filesystem::path> paths(std::string_view key, std::size_t most);
    // Whether the key is there; it then counts as asked for.
    [[nodiscard]] bool has(std::string_view key);
    // Says that the value of `key` is wrong.
    void refuse(std::string_view key, const std::string& why);
    // Sub-tables by name, e.g. [budgets.raspberrypi4].
    [[nodiscard]] std::vector<std::string> table_names();
    [[nodiscard]] Table table(std::string_view key);
    // Refuses every key that was not asked for. Call last. `right` says what would be, where the
    // names that were asked for do not.
    void finish(const std::string& right = {});

   private:
    friend class TomlReader;
    Table(TomlReader& reader, const toml::table* table, std::string name);
    const toml::node* find(std::string_view key, bool required);
    [[nodiscard]] std::string full_name(std::string_view key) const;
    [[nodiscard]] std::filesystem::path beside_file(const std::filesystem::path& path) const;

    TomlReader* reader_;
    const toml::table* table_;  // null: missing
    std::string name_;          // "" for the root
    std::vector<std::string> asked_;
  };

  [[nodiscard]] Table root();
  [[nodiscard]] Status status() const;
  // What was read: FILE, then its drop-ins.
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const { return files_; }

 private:
  Status merge_drop_ins();
  Status merge_setting(const std::string& setting);
  void fail_at(const toml::node* node, const std::string& key, const std::string& why);
  // A misspelt key is a missing one, too: what is wrong is the spelling.
  void refuse_unknown(const toml::node* node, const std::string& key, const std::string& right);

  std::filesystem::path file_;
  std::vector<std::filesystem::path> files_;
  toml::table root_;
  std::optional<Error> error_;
  bool only_missing_ = false;  // the error is that a key is missing
};

}  // namespace outcrop::platform
