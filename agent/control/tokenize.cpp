#include "agent/control/tokenize.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "protocol/base/bytes.hpp"
#include "protocol/base/number.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::agent {
namespace fs = std::filesystem;
namespace {

constexpr int vocabulary_descriptor = 3;
constexpr ByteCount longest_answer = ByteCount::mib(1);

Result<UniqueFd> memory_file(const char* name, const std::string& content) {
  UniqueFd file(::memfd_create(name, MFD_CLOEXEC));
  if (!file) return fail(Error::from_errno("memfd_create"));
  for (std::size_t at = 0; at < content.size();) {
    const ssize_t count = ::write(file.get(), content.data() + at, content.size() - at);
    if (count < 0) return fail(Error::from_errno("writing to memory"));
    at += static_cast<std::size_t>(count);
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

Result<std::string> content_of(const UniqueFd& file) {
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size < 0 || size > static_cast<off_t>(longest_answer.value())) {
    return fail(ErrorCode::crashed, "outcrop-tokenize answers " + std::to_string(size) + " bytes");
  }
  std::string content(static_cast<std::size_t>(size), '\0');
  if (::pread(file.get(), content.data(), content.size(), 0) != size) return fail(Error::from_errno("reading from memory"));
  return content;
}

// Its exit status, or -1 where a signal ended it.
Result<int> run(const fs::path& program, std::vector<std::string> arguments, const UniqueFd& input, const UniqueFd& vocabulary,
                const UniqueFd& output, const UniqueFd& words) {
  // Each lies above those that it becomes: none is overwritten before its turn.
  std::array<UniqueFd, 4> high;
  const std::array<const UniqueFd*, 4> given{&input, &output, &words, &vocabulary};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 4; ++i) {
    high[static_cast<std::size_t>(i)] = UniqueFd(::fcntl(given[static_cast<std::size_t>(i)]->get(), F_DUPFD_CLOEXEC, 10));
    ::posix_spawn_file_actions_adddup2(&actions, high[static_cast<std::size_t>(i)].get(), i);
  }
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::array<char*, 1> nothing{nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, program.c_str(), &actions, nullptr, pointers.data(), nothing.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed == ENOENT) {
    return fail(ErrorCode::not_found, program.string() + " is missing: texts are cut by it; it is in the package outcrop-tokenize");
  }
  if (failed != 0) return fail(ErrorCode::io, program.string() + ": " + std::strerror(failed));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return fail(Error::from_errno("waiting for outcrop-tokenize"));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

fs::path tokenizer_beside_agent() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return (error ? fs::path("/usr/bin") : self.parent_path()) / "outcrop-tokenize";
}

Result<std::vector<std::int64_t>> tokenize(const fs::path& program, const messages::TextInput& input,
                                           const std::string& text) {
  OUTCROP_TRY(text_file, memory_file("text", text));
  OUTCROP_TRY(vocabulary, memory_file("vocabulary", input.vocabulary));
  OUTCROP_TRY(output, memory_file("ids", ""));
  OUTCROP_TRY(words, memory_file("words", ""));
  std::vector<std::string> arguments{"outcrop-tokenize", "--vocabulary",
                                     "/proc/self/fd/" + std::to_string(vocabulary_descriptor), "--length",
                                     std::to_string(input.length)};
  if (input.cased) arguments.emplace_back("--cased");
  OUTCROP_TRY(status, run(program, std::move(arguments), text_file, vocabulary, output, words));
  OUTCROP_TRY(said, content_of(words));
  if (status != 0) {
    return fail(ErrorCode::crashed, said.empty() ? "outcrop-tokenize ended without an answer" : said.substr(0, said.find('\n')));
  }
  OUTCROP_TRY(answer, content_of(output));
  std::istringstream stream(answer);
  std::vector<std::int64_t> ids;
  for (std::string word; stream >> word;) {
    const auto id = read_number<std::int64_t>(word);
    if (!id) return fail(ErrorCode::crashed, "outcrop-tokenize answers '" + word + "', which is no id");
    ids.push_back(*id);
  }
  if (ids.size() == input.length) return ids;
  return fail(ErrorCode::crashed, "outcrop-tokenize answers " + std::to_string(ids.size()) + " ids; " +
                                      std::to_string(input.length) + " were wanted");
}

}  // namespace outcrop::agent
