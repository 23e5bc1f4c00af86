#include "platform/cli/verb.hpp"

#include <cstdio>
#include <filesystem>

#include "platform/cli/parse.hpp"
#include "protocol/base/without_controls.hpp"

namespace outcrop::cli {

int exit_code(const Error& error) {
  switch (error.code()) {
    case ErrorCode::invalid_argument:
      return static_cast<int>(ExitCode::wrong_use);
    case ErrorCode::timeout:
      return static_cast<int>(ExitCode::waited_in_vain);
    default:
      return static_cast<int>(ExitCode::failed);
  }
}

int run_program(std::string_view program, std::string_view description, int argc, char** argv,
                std::initializer_list<AddVerb> verbs) {
  // What the user typed: outcrop-trainer is usually reached as `outcrop synth`.
  const std::string typed = std::filesystem::path(argv[0]).filename().string();
  CLI::App app{std::string(description), typed.empty() ? std::string(program) : typed};
  add_version(app, std::string(program));
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Action chosen;
  add_help_verb(app);
  for (const AddVerb& add : verbs) add(app, chosen);
  if (const auto code = parse(app, argc, argv)) return *code;
  if (!chosen) return static_cast<int>(ExitCode::wrong_use);
  const Status status = chosen();
  if (status) return static_cast<int>(ExitCode::done);
  // What others' files say is in it, too.
  std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(),
               without_controls(status.error().message(), "\n\t").c_str());
  return exit_code(status.error());
}

}  // namespace outcrop::cli
