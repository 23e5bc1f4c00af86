#include "platform/cli/tree.hpp"

#include <algorithm>
#include <sstream>

namespace outcrop::cli {
namespace {

constexpr const char* help_verb = "help";

// Options of its own and of its groups, which are subcommands without a name to the parser.
void collect(const CLI::App& app, bool positional, std::vector<const CLI::Option*>& found) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    if (positional ? option->get_positional() && !option->nonpositional()
                   : option->nonpositional()) {
      found.push_back(option);
    }
  }
  for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (group->get_name().empty()) collect(*group, positional, found);
  }
}

// Also of the verbs above, where the parser looks there.
const CLI::Option* find_option(const CLI::App& app, const std::string& name) {
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    if (const CLI::Option* option = at->get_option_no_throw(name)) return option;
    if (!at->get_fallthrough()) return nullptr;
  }
  return nullptr;
}

bool is_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9') && word[1] != '.';
}

}  // namespace

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  std::vector<const CLI::App*> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!verb->get_name().empty() && !verb->get_group().empty()) verbs.push_back(verb);
  }
  return verbs;
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  std::vector<const CLI::Option*> found;
  collect(app, false, found);
  return found;
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& app) {
  std::vector<const CLI::Option*> found;
  collect(app, true, found);
  return found;
}

std::string full_name(const CLI::App& app) {
  const CLI::App* const parent = app.get_parent();
  return parent == nullptr ? app.get_name() : full_name(*parent) + " " + app.get_name();
}

std::string name_of(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) return "-" + option.get_snames().front();
  return option.get_name(true);
}

bool takes_value(const CLI::Option& option) {
  return option.get_type_size() != 0 && option.get_expected_max() > 0;
}

// CLI11 keeps them only in the name of the option's type: "TEXT:{hold,fail,activate}".
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}', open);
  std::vector<std::string> choices;
  if (open == std::string::npos || close == std::string::npos) return choices;
  std::istringstream list(type.substr(open + 1, close - open - 1));
  for (std::string choice; std::getline(list, choice, ',');) choices.push_back(choice);
  return choices;
}

Place follow(const CLI::App& app, std::span<const std::string> words) {
  Place place;
  place.app = &app;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") continue;
    if (is_option(word)) {
      const std::size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      const CLI::Option* option = find_option(*place.app, name);
      // "-k8": a short option and its value.
      if (option == nullptr && name.size() > 2 && name[1] != '-') {
        option = find_option(*place.app, name.substr(0, 2));
      } else if (option == nullptr) {
        place.unknown_options.push_back(name);
      } else if (takes_value(*option) && equals == std::string::npos) {
        // A shell parts "--name=value" into three words.
        const bool parted = i + 1 < words.size() && words[i + 1] == "=";
        i += parted ? 2 : 1;
        if (i >= words.size()) place.value_of = option;
      }
      continue;
    }
    const auto verbs = verbs_of(*place.app);
    const auto verb = std::find_if(verbs.begin(), verbs.end(),
                                   [&](const CLI::App* known) { return known->check_name(word); });
    if (verb != verbs.end() && place.positionals == 0) {
      // "help rollout start" is about the verbs that follow it.
      if (word != help_verb || place.app != &app) place.app = *verb;
      continue;
    }
    const auto positionals = positionals_of(*place.app);
    const bool endless =
        !positionals.empty() &&
        positionals.back()->get_expected_max() >= CLI::detail::expected_max_vector_size;
    if (place.positionals++ >= positionals.size() && !endless) place.too_many.push_back(word);
  }
  return place;
}

}  // namespace outcrop::cli
