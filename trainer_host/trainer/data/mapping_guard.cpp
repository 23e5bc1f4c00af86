#include "trainer_host/trainer/data/mapping_guard.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

namespace outcrop::data {

namespace {

// Ranges are never freed, so that a signal handler may walk them at any time; one whose size is 0
// is there for the next mapping.
struct MappedRange {
  std::atomic<const std::byte*> begin{nullptr};
  std::atomic<std::size_t> size{0};
  std::string path;
  MappedRange* next = nullptr;
};

std::mutex ranges_mutex;  // not for the handler
std::atomic<MappedRange*> first_range{nullptr};

void write_text(std::string_view text) {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

// Returns where the address is in no range.
void name_file_and_exit(const void* address) {
  const auto* const at = static_cast<const std::byte*>(address);
  for (const MappedRange* range = first_range; range != nullptr; range = range->next) {
    const std::byte* const begin = range->begin;
    const std::size_t size = range->size;
    if (size == 0 || at < begin || at >= begin + size) continue;
    write_text("\n");  // behind a progress bar
    write_text(program_invocation_short_name);
    write_text(": ");
    write_text(range->path);
    write_text(
        ": cannot be read any more: it was shortened while it was in use, or its disk failed. "
        "What was finished before is kept: with the whole file back, the same command goes on\n");
    ::_exit(1);
  }
}

void on_bus_error(int, siginfo_t* info, void*) {
  name_file_and_exit(info->si_addr);
  // Not ours: met again, it does what it always does.
  ::signal(SIGBUS, SIG_DFL);
}

void install_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

void guard_mapping(const void* begin, std::size_t size, const std::filesystem::path& path) {
  static std::once_flag installed;
  std::call_once(installed, install_handler);
  const std::lock_guard lock(ranges_mutex);
  MappedRange* unused = nullptr;
  for (MappedRange* range = first_range; range != nullptr; range = range->next) {
    if (range->size == 0) unused = range;
  }
  MappedRange* const range = unused != nullptr ? unused : new MappedRange;
  range->path = path.string();
  range->begin = static_cast<const std::byte*>(begin);
  range->size = size;
  if (range == unused) return;
  range->next = first_range;
  first_range = range;
}

void release_mapping(const void* begin) {
  const std::lock_guard lock(ranges_mutex);
  for (MappedRange* range = first_range; range != nullptr; range = range->next) {
    if (range->begin == begin) range->size = 0;
  }
}

}  // namespace outcrop::data
