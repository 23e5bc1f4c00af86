#include "platform/cli/verb.hpp"

#include <cstdio>
#include <filesystem>

#include "platform/cli/strict_numbers.hpp"
#include "platform/cli/unknown_verb.hpp"
#include "protocol/base/version.hpp"

namespace outcrop::cli {

int run_program(std::string_view program, std::string_view description, int argc, char** argv,
                std::initializer_list<AddVerb> verbs) {
  // What the user typed: outcrop-trainer is usually reached as `outcrop synth`.
  const std::string typed = std::filesystem::path(argv[0]).filename().string();
  CLI::App app{std::string(description), typed.empty() ? std::string(program) : typed};
  app.set_version_flag("--version", std::string(program) + " " + std::string(version()));
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Action chosen;
  for (AddVerb add : verbs) add(app, chosen);
  read_numbers_strictly(app);
  if (const auto unknown = unknown_verb(app, argc, argv)) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), unknown->c_str());
    return static_cast<int>(ExitCode::wrong_use);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? static_cast<int>(ExitCode::done) : static_cast<int>(ExitCode::wrong_use);
  }
  if (!chosen) return static_cast<int>(ExitCode::wrong_use);
  const Status status = chosen();
  if (status) return static_cast<int>(ExitCode::done);
  std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), status.error().message().c_str());
  return static_cast<int>(status.error().code() == ErrorCode::invalid_argument ? ExitCode::wrong_use
                                                                               : ExitCode::failed);
}

}  // namespace outcrop::cli
