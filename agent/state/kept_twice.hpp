#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::agent {

// A document that a board must not lose by the loss of one file: a power cut on a card that lies
// about its cache leaves NULs where a file was, whatever was synced. It is kept as two files, FILE
// and FILE.spare, replaced one after the other, so that one of them is always at rest.
class KeptTwice {
 public:
  explicit KeptTwice(std::filesystem::path file, mode_t mode = 0644)
      : file_(std::move(file)), mode_(mode) {}

  [[nodiscard]] const std::filesystem::path& file() const { return file_; }
  [[nodiscard]] std::filesystem::path spare() const;

  // Replaces FILE, then the spare. Fails where FILE could not be replaced, and then nothing has
  // changed; a spare that could not be is only worth a word in the log.
  [[nodiscard]] Status write(std::string_view text) const;

  struct Reading {
    std::optional<std::filesystem::path> copy;  // that was taken; none where there is none to take
    // What is wrong and what becomes of it, in words; its code is that of FILE's refusal.
    std::optional<Error> trouble;
  };
  // Offers FILE to `take`, and the spare where FILE is refused or missing; a copy that cannot be
  // read just then is offered some more times. Writes nothing. Fails where it is no damage that
  // keeps both from being taken: with `unsupported` where `take` does, for a copy of a newer agent,
  // with `io` where one of them could not be read.
  [[nodiscard]] Result<Reading> read(
      const std::function<Status(const std::filesystem::path& copy)>& take) const;

  // Makes both copies what was read. What was refused is first renamed to FILE.damaged or
  // FILE.spare.damaged, for whoever wants to look at it. Where the disk takes nothing, all stays as
  // it is. For the program that owns the files.
  void heal(const Reading& reading) const;

 private:
  [[nodiscard]] Status write_to(const std::filesystem::path& path, std::string_view text) const;

  std::filesystem::path file_;
  mode_t mode_;
};

}  // namespace outcrop::agent
