#pragma once

#include <optional>

namespace outcrop::cli {

// `outcrop` links no LibTorch: the verbs that need it live in outcrop-trainer, which stands
// beside this program. Where argv names such a verb, this replaces the process by the trainer
// (as git does with its commands) and returns only an exit code if that failed; it returns
// nothing where the verb is not the trainer's.
[[nodiscard]] std::optional<int> run_trainer_verb(int argc, char** argv);

}  // namespace outcrop::cli
