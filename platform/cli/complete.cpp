#include "platform/cli/complete.hpp"

#include <cstdio>

#include "platform/cli/tree.hpp"
#include "platform/cli/verb.hpp"

namespace outcrop::cli {
namespace {

constexpr const char* files = ":files";

void add(std::vector<std::string>& lines, const std::string& word, const std::string& typed,
         const std::string& meaning) {
  if (!word.starts_with(typed)) return;
  lines.push_back(meaning.empty() ? word : word + "\t" + meaning.substr(0, meaning.find('\n')));
}

void add_values(std::vector<std::string>& lines, const CLI::Option& option,
                const std::string& typed) {
  const auto choices = choices_of(option);
  for (const std::string& choice : choices) add(lines, choice, typed, "");
  const std::string type = option.get_type_name();
  const bool number = type.starts_with("INT") || type.starts_with("UINT") ||
                      type.starts_with("FLOAT") || type == "SECONDS" || type == "MB";
  if (choices.empty() && !number) lines.emplace_back(files);
}

}  // namespace

std::vector<std::string> completions(const CLI::App& app, std::span<const std::string> words) {
  std::vector<std::string> lines;
  if (words.empty()) return lines;
  // Behind "--name=" as some shells part it, nothing is typed yet.
  const bool at_equals = words.back() == "=";
  const std::string typed = at_equals ? "" : words.back();
  Place place = follow(app, words.first(words.size() - 1));
  if (place.value_of != nullptr) {
    add_values(lines, *place.value_of, typed);
    return lines;
  }
  if (const std::size_t equals = typed.find('='); typed.starts_with("--") && equals != typed.npos) {
    const std::string name = typed.substr(0, equals);
    for (const CLI::Option* option : options_of(*place.app)) {
      if (name_of(*option) != name || !takes_value(*option)) continue;
      add_values(lines, *option, typed.substr(equals + 1));
      for (std::string& line : lines) {
        if (line != files) line.insert(0, name + "=");
      }
    }
    return lines;
  }
  if (!typed.starts_with("-")) {
    for (const CLI::App* verb : verbs_of(*place.app)) {
      add(lines, verb->get_name(), typed, verb->get_description());
    }
    const auto positionals = positionals_of(*place.app);
    if (!positionals.empty()) {
      add_values(lines, *positionals[std::min(place.positionals, positionals.size() - 1)], typed);
    }
    if (!lines.empty() || !typed.empty()) return lines;
  }
  for (const CLI::Option* option : options_of(*place.app)) {
    add(lines, name_of(*option), typed, option->get_description());
  }
  return lines;
}

std::optional<int> answer_shell(const CLI::App& app, std::span<const std::string> words) {
  if (words.empty() || words.front() != complete_word) return std::nullopt;
  words = words.subspan(words.size() > 1 && words[1] == "--" ? 2 : 1);
  for (const std::string& line : completions(app, words)) std::printf("%s\n", line.c_str());
  return static_cast<int>(ExitCode::done);
}

}  // namespace outcrop::cli
