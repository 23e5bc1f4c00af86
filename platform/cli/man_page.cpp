#include "platform/cli/man_page.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <sstream>

#include "platform/cli/tree.hpp"
#include "platform/cli/verb.hpp"
#include "protocol/base/version.hpp"

namespace outcrop::cli {
namespace {

// Text that no character of is an instruction.
std::string plain(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    const bool begins_line = safe.empty() || safe.back() == '\n';
    if (begins_line && (c == '.' || c == '\'')) safe += "\\&";
    if (c == '\\') {
      safe += "\\e";
    } else if (c == '-') {
      safe += "\\-";
    } else {
      safe += c;
    }
  }
  return safe;
}

// Some descriptions are sentences with a full stop already.
std::string sentence(std::string text) {
  if (!text.ends_with('.')) text += '.';
  return text;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// Filled like all text, but examples, which are indented, as they stand. What leads to them, "Example:", is a
// paragraph, as is what stands behind an empty line.
std::string footer(const std::string& text) {
  std::string page;
  std::istringstream lines(text);
  bool as_it_stands = false;
  const auto paragraph = [&] {
    if (!page.ends_with(".PP\n")) page += ".PP\n";
  };
  paragraph();
  for (std::string line; std::getline(lines, line);) {
    const bool example = line.starts_with(" ") || (line.empty() && as_it_stands);
    if (example && !as_it_stands) paragraph();
    if (example != as_it_stands) page += example ? ".nf\n" : ".fi\n";
    as_it_stands = example;
    if (!example && (line.empty() || (line.starts_with("Example") && line.ends_with(':')))) paragraph();
    if (!line.empty() || example) page += plain(line) + "\n";
  }
  if (as_it_stands) page += ".fi\n";
  return text.empty() ? "" : page;
}

std::string value_name(const CLI::Option& option) {
  const auto choices = choices_of(option);
  if (choices.empty()) {
    const std::string type = option.get_type_name();
    return type.empty() ? "VALUE" : type.substr(0, type.find_first_of(" :"));
  }
  std::string list;
  for (const std::string& choice : choices) list += (list.empty() ? "" : "|") + choice;
  return list;
}

std::string entry(const CLI::Option& option) {
  const bool positional = !option.nonpositional();
  std::string page = ".TP\n";
  if (positional) {
    page += ".I " + plain(option.get_name(true)) + "\n";
  } else {
    std::string names = plain(name_of(option));
    for (const std::string& letter : option.get_snames()) {
      if (!option.get_lnames().empty()) names = "\\-" + letter + ", " + names;
    }
    page += takes_value(option) ? ".BI \"" + names + "\" \" " + plain(value_name(option)) + "\"\n"
                                : ".B " + names + "\n";
  }
  std::string text = plain(option.get_description());
  if (text.empty()) text = "\\&";
  const std::string given = option.get_default_str();
  if (!given.empty() && takes_value(option)) text += " [default: " + plain(given) + "]";
  if (option.get_required()) text += " (required)";
  return page + text + "\n";
}

std::string synopsis(const CLI::App& app) {
  std::string text = ".B " + plain(full_name(app)) + "\n";
  if (!verbs_of(app).empty()) {
    text += app.get_require_subcommand_min() > 0 ? ".I VERB\n" : "[\\fIVERB\\fR]\n";
  }
  text += "[\\fIOPTION\\fR ...]\n";
  for (const CLI::Option* option : positionals_of(app)) {
    const std::string name = "\\fI" + plain(option->get_name(true)) + "\\fR";
    text += option->get_required() ? name + "\n" : "[" + name + "]\n";
  }
  return text;
}

std::string entries(const CLI::App& app) {
  std::string page;
  for (const CLI::Option* option : positionals_of(app)) page += entry(*option);
  for (const CLI::Option* option : options_of(app)) {
    if (name_of(*option) != "--help" || app.get_parent() == nullptr) page += entry(*option);
  }
  return page;
}

// A verb and those below it.
std::string section_of(const CLI::App& verb) {
  std::string page;
  const auto below = verbs_of(verb);
  if (below.empty()) {
    page += ".SS " + plain(full_name(verb)) + "\n" + plain(sentence(verb.get_description())) + "\n" +
            entries(verb) + footer(verb.get_footer());
  }
  for (const CLI::App* part : below) page += section_of(*part);
  return page;
}

}  // namespace

std::string man_page(const CLI::App& app, const std::string& section) {
  const std::string name = app.get_name();
  std::string description = app.get_description();
  std::string brief = description.substr(0, description.find_last_not_of('.') + 1);
  if (brief.size() > 1) brief[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(brief[0])));
  std::string page = ".TH " + plain(upper(name)) + " " + section + " \"\" \"Outcrop " +
                     std::string(version()) + "\" Outcrop\n";
  page += ".SH NAME\n" + plain(name) + " \\- " + plain(brief) + "\n";
  page += ".SH SYNOPSIS\n" + synopsis(app);
  page += ".SH DESCRIPTION\n" + plain(description) + "\n" + footer(app.get_footer());
  page += ".SH OPTIONS\n" + entries(app);
  if (!verbs_of(app).empty()) {
    page += ".SH VERBS\nEach has a\n.B \\-\\-help\nthat says this, too.\n";
    for (const CLI::App* verb : verbs_of(app)) page += section_of(*verb);
  }
  page +=
      ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong use, 3 waited in vain for something that is "
      "not over yet.\n";
  return page;
}

std::optional<int> print_man_page(const CLI::App& app, std::span<const std::string> words) {
  if (words.size() != 2 || words.front() != "--man-page") return std::nullopt;
  std::printf("%s", man_page(app, words.back()).c_str());
  return static_cast<int>(ExitCode::done);
}

}  // namespace outcrop::cli
