#include "platform/cli/parse.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "platform/cli/complete.hpp"
#include "platform/cli/man_page.hpp"
#include "platform/cli/strict_numbers.hpp"
#include "platform/cli/tree.hpp"
#include "platform/cli/unknown_verb.hpp"
#include "platform/cli/verb.hpp"
#include "platform/text/nearest.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/version.hpp"

namespace outcrop::cli {
namespace {

std::string in_quotes(const std::string& word) {
  return "'" + word + "'";
}

std::string about_unknown(const CLI::App& app, const std::string& option) {
  std::vector<std::string> known;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* candidate : options_of(*at)) known.push_back(name_of(*candidate));
    if (!at->get_fallthrough()) break;
  }
  // A single letter is near to all others.
  const bool is_word = option.size() > 3;
  const auto meant = is_word ? platform::nearest(option, known) : std::nullopt;
  return in_quotes(option) + " is no option" +
         (meant ? "; did you mean '" + *meant + "'?" : "; there are: " + join(known));
}

bool is_of(const CLI::ParseError& error, CLI::ExitCodes kind) {
  return error.get_exit_code() == static_cast<int>(kind);
}

// The parser's own words where they say enough.
std::string in_words(const CLI::ParseError& error, const Place& place) {
  if (!place.unknown_options.empty()) {
    return about_unknown(*place.app, place.unknown_options.front());
  }
  if (is_of(error, CLI::ExitCodes::ExtrasError) && !place.too_many.empty()) {
    return "nothing takes " + in_quotes(place.too_many.front()) +
           (positionals_of(*place.app).empty() ? ": there is nothing to name by itself here"
                                               : ": that is one too many");
  }
  if (place.value_of != nullptr) return name_of(*place.value_of) + " needs a value";
  const std::string text = error.what();
  if (is_of(error, CLI::ExitCodes::ArgumentMismatch) && text.ends_with(" missing")) {
    return text.substr(0, text.find(':')) + " needs a value";
  }
  return text;
}

int tell(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words) {
  if (error.get_exit_code() == 0) {  // --help, --version
    return app.exit(error) == 0 ? static_cast<int>(ExitCode::done)
                                : static_cast<int>(ExitCode::failed);
  }
  const Place place = follow(app, words);
  const std::string name = full_name(*place.app);
  std::fprintf(stderr, "%s: %s\n%s --help says what there is\n", name.c_str(),
               in_words(error, place).c_str(), name.c_str());
  return static_cast<int>(ExitCode::wrong_use);
}

}  // namespace

std::optional<int> parse(CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  read_numbers_strictly(app);
  if (const auto code = answer_shell(app, words)) return code;
  if (const auto code = print_man_page(app, words)) return code;
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  if (const auto unknown = unknown_verb(app, words)) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), unknown->c_str());
    return static_cast<int>(ExitCode::wrong_use);
  }
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // it takes them from the end
  } catch (const CLI::ParseError& error) {
    return tell(app, error, words);
  }
  return std::nullopt;
}

void add_version(CLI::App& app, const std::string& program) {
  app.set_version_flag("--version", program + " " + code_version(), "Print version and commit");
}

void add_help_verb(CLI::App& app) {
  app.add_subcommand("help", "Say what a verb does: help VERB...");
}

}  // namespace outcrop::cli
