#pragma once

#include <optional>

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// `outcrop` links no LibTorch: the verbs that need it live in outcrop-trainer, which stands
// beside this program. Where argv names such a verb, this replaces the process by the trainer
// (as git does with its commands) and returns only an exit code if that failed; it returns
// nothing where the verb is not the trainer's.
[[nodiscard]] std::optional<int> run_trainer_verb(int argc, char** argv);

// Lists those verbs in `outcrop --help`; run_trainer_verb has taken them over before they parse.
void add_trainer_verbs(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
