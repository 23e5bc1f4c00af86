#pragma once

#include <cstdint>
#include <filesystem>

#include "bench/instruction_page.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::bench {

// The emulated program's side of the instruction plugin. Exact to a block of straight code, and
// the same at every run, as long as there is one thread.
class InstructionCounter {
 public:
  // `page`: the file that the plugin was given. not_found where there is none, unsupported where
  // the plugin has not written to it: this program runs without it.
  [[nodiscard]] static Result<InstructionCounter> open(const std::filesystem::path& page);
  InstructionCounter(InstructionCounter&& other) noexcept;
  InstructionCounter& operator=(InstructionCounter&&) = delete;
  ~InstructionCounter();

  [[nodiscard]] std::uint64_t executed() const { return page_->executed; }

 private:
  explicit InstructionCounter(const volatile InstructionPage* page) : page_(page) {}

  const volatile InstructionPage* page_;
};

}  // namespace outcrop::bench
