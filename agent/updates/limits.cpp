#include "agent/updates/limits.hpp"

#include <ctime>

#include <spdlog/spdlog.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::agent {
namespace {

constexpr std::chrono::hours a_day{24};
constexpr std::chrono::hours clock_waited_for{1};
constexpr ByteCount longest_file = ByteCount::kib(4);
constexpr ByteCount keep_every = ByteCount::mib(8);

std::string local_words(Timestamp time) {
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%a %Y-%m-%d %H:%M", &local)};
}

}  // namespace

UpdateLimits::UpdateLimits(const AgentConfig& config, const Clock& clock, Times times)
    : config_(config), clock_(clock), times_(std::move(times)), file_(config.state / "received.json"), started_(times_.steady()) {
  if (config_.most_a_day.value() == 0) return;
  if (const Status read = read_received(); !read) {
    spdlog::warn("bytes of these 24 hours are counted anew: {}", read.error().message());
  }
}

Status UpdateLimits::read_received() {
  const auto text = read_text_file(file_, longest_file);
  if (!text) return text.error().code() == ErrorCode::not_found ? Status() : fail(text.error());
  OUTCROP_TRY(json, messages::parse_object(*text, longest_file, "received.json"));
  messages::ObjectReader reader(json, "received.json");
  const Received read{reader.time("since"), reader.size("bytes")};
  reader.done();
  OUTCROP_CHECK(reader.status());
  received_ = read;
  kept_ = read.bytes.value();
  return {};
}

// A clock that was set back must not keep them for ever, nor forget them.
UpdateLimits::Received UpdateLimits::counted() const {
  const Timestamp now = clock_.now();
  if (now < received_.since) return {now, received_.bytes};
  return now - received_.since >= a_day ? Received{now, {}} : received_;
}

std::optional<std::string> UpdateLimits::may_not_receive() const {
  if (config_.metered) return "its link is metered: releases come by `outcrop-agent install`";
  if (auto why = times_.link_costs()) return why;
  if (config_.most_a_day.value() == 0) return std::nullopt;
  const Received all = counted();
  if (all.bytes < config_.most_a_day) return std::nullopt;
  return "waits until " + local_words(all.since + a_day) + ": " + config_.most_a_day.human() + " in 24 hours are used up";
}

std::optional<std::string> UpdateLimits::closed() const {
  if (!config_.update_window) return std::nullopt;
  const std::string words = "its window (" + config_.update_window->words() + ", local time)";
  if (!times_.clock_synchronised()) {
    if (times_.steady() - started_ >= clock_waited_for) return std::nullopt;
    return "waits for the clock to be set, an hour at most, since " + words + " means nothing before";
  }
  const Timestamp now = clock_.now();
  const MinuteOfWeek minute = local_minute(now);
  if (config_.update_window->open(minute)) return std::nullopt;
  return "waits until " + local_words(now + config_.update_window->opens_in(minute)) + " for " + words;
}

void UpdateLimits::received(ByteCount bytes) {
  const Received before = counted();
  received_ = {before.since, ByteCount(before.bytes.value() + bytes.value())};
  const std::uint64_t now = received_.bytes.value();
  const bool full = now >= config_.most_a_day.value() && kept_ < config_.most_a_day.value();
  if (config_.most_a_day.value() > 0 && (full || now < kept_ || now >= kept_ + keep_every.value())) keep();
}

void UpdateLimits::keep() {
  kept_ = received_.bytes.value();
  const messages::Json json{{"since", to_rfc3339(received_.since)}, {"bytes", received_.bytes.value()}};
  if (const Status written = write_file_durably(file_, json_text(json) + "\n"); !written) {
    spdlog::warn("counting what is received: {}", written.error().message());
  }
}

}  // namespace outcrop::agent
