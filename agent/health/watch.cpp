#include "agent/health/watch.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/health/surroundings.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::agent {
namespace {

using messages::Json;

constexpr ByteCount limit = ByteCount::kib(8);
constexpr std::chrono::hours try_again{1};

struct Remembered {
  std::string manifest;
  std::string variant;
  std::string surroundings;
  Timestamp when;
};

std::optional<Remembered> read(const std::filesystem::path& file) {
  const auto text = read_text_file(file, limit);
  if (!text) return std::nullopt;
  const auto json = messages::parse_object(*text, limit, "proved.json");
  if (!json) return std::nullopt;
  messages::ObjectReader reader(*json, "proved.json");
  Remembered proved;
  proved.manifest = reader.text("manifest");
  proved.variant = reader.text("variant");
  proved.surroundings = reader.text("surroundings", limit.value());
  proved.when = reader.time("when");
  return reader.ok() ? std::optional(proved) : std::nullopt;
}

}  // namespace

Watch::Watch(std::filesystem::path file, WatchOptions options, const Clock& clock, runtime::MachineFiles files)
    : file_(std::move(file)), options_(std::move(options)), clock_(clock), files_(std::move(files)) {}

void Watch::serves(const std::optional<Installed>& release, Time now) {
  if (release_ == release) return;
  release_ = release;
  calls_.clear();
  wrong_before_ = false;
  due_.reset();
  if (!release) return;
  surroundings_ = surroundings(files_, options_.runner);
  temperature_ = temperature_class(files_, temperature_);
  due_ = now + options_.first_after;
  const auto proved = read(file_);
  if (!proved || proved->manifest != release->manifest.hex() || proved->variant != release->variant ||
      proved->surroundings != surroundings_) {
    return;
  }
  // By a clock that may have leapt: then it is proved sooner than it must.
  const auto ago = clock_.now() - proved->when;
  if (ago < std::chrono::seconds(0) || ago > options_.interval) return;
  due_ = std::max(*due_, now + (options_.interval - std::chrono::duration_cast<std::chrono::seconds>(ago)));
}

void Watch::look_around(Time now) {
  if (!release_) return;
  std::string around = surroundings(files_, options_.runner);
  std::string temperature = temperature_class(files_, temperature_);
  const bool changed = around != surroundings_ || (temperature != temperature_ && !temperature.empty());
  surroundings_ = std::move(around);
  temperature_ = std::move(temperature);
  if (changed) due_ = std::min(due_.value_or(Time::max()), now + options_.first_after);
}

void Watch::remember() {
  const Json json{{"manifest", release_->manifest.hex()},
                  {"variant", release_->variant},
                  {"surroundings", surroundings_},
                  {"when", to_rfc3339(clock_.now())}};
  // Where it is lost, it is proved once more.
  if (const Status written = write_file_durably(file_, json_text(json, 1) + "\n"); !written) {
    spdlog::warn("{}", written.error().message());
  }
}

std::optional<std::string> Watch::proved(ProvedAgain result, const std::string& in_words, Time now) {
  if (!release_) return std::nullopt;
  switch (result) {
    case ProvedAgain::right:
      wrong_before_ = false;
      due_ = now + options_.interval;
      remember();
      return std::nullopt;
    case ProvedAgain::void_figures:
    case ProvedAgain::not_possible:
      postpone(now);
      return std::nullopt;
    case ProvedAgain::wrong:
      break;
  }
  if (wrong_before_) return in_words;
  spdlog::warn("proved again, what serves is not what it was, and is tried once more: {}", in_words);
  wrong_before_ = true;
  due_ = now;
  return std::nullopt;
}

void Watch::postpone(Time now) {
  due_ = now + std::min<std::chrono::seconds>(options_.interval, try_again);
}

void Watch::forgive(Time now) {
  calls_.clear();
  wrong_before_ = false;
  due_ = now + options_.interval;
}

}  // namespace outcrop::agent
