#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "platform/service/service.hpp"
#include "protocol/base/cut_short.hpp"
#include "protocol/base/without_controls.hpp"

namespace outcrop::platform {
namespace {

// %* in a pattern: "<3>", the priority of sd-daemon(3), which journald takes off the line.
class JournalPriority final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const char priority = of(message.level);
    for (const char c : {'<', priority, '>'}) out.push_back(c);
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JournalPriority>();
  }

 private:
  static char of(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::critical:
        return '2';
      case spdlog::level::err:
        return '3';
      case spdlog::level::warn:
        return '4';
      case spdlog::level::info:
        return '6';
      default:
        return '7';
    }
  }
};

// Whatever a message has of others, it is one line, gives a terminal no orders, and is no longer than anybody reads.
class OneLine final : public spdlog::formatter {
 public:
  explicit OneLine(std::unique_ptr<spdlog::formatter> inner) : inner_(std::move(inner)) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string text = cut_short(controls_escaped({message.payload.data(), message.payload.size()}, "\t"), longest_line);
    spdlog::details::log_msg one = message;
    one.payload = text;
    inner_->format(one, out);
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<OneLine>(inner_->clone());
  }

 private:
  static constexpr std::size_t longest_line = 4096;
  std::unique_ptr<spdlog::formatter> inner_;
};

// Whether stderr is the journal's stream, as systemd.exec(5) says to find out: a child whose stderr
// was redirected inherits the variable, too.
bool writes_to_journal() {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat info {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &info) != 0) return false;
  return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) == stream;
}

}  // namespace

void start_log(std::string_view program, std::string_view level) {
  auto logger = std::make_shared<spdlog::logger>(std::string(program),
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  if (writes_to_journal()) {
    formatter->add_flag<JournalPriority>('*').set_pattern("%*%v");
  } else {
    formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-5l %n: %v");
  }
  logger->set_formatter(std::make_unique<OneLine>(std::move(formatter)));
  const auto wanted = spdlog::level::from_str(std::string(level));
  logger->set_level(wanted == spdlog::level::off ? spdlog::level::info : wanted);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace outcrop::platform
