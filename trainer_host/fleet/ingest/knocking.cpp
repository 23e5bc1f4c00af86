#include "trainer_host/fleet/ingest/knocking.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "protocol/base/counted.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::size_t most_known = 256;
constexpr std::size_t most_shown = 8;
constexpr std::chrono::minutes last_words{2};  // what was on its way, and its will
constexpr std::chrono::hours lately{1}, recorded_again_after{24};

}  // namespace

void Knocking::by_name(const std::string& board) {
  const auto device = registry_->device(board);
  if (!device || !*device || !(*device)->revoked || clock_->now() - *(*device)->revoked < last_words) return;
  add("'" + board + "', which is revoked,", "", 1);
}

std::string Knocking::of_names(const std::set<std::string>& names) const {
  std::string revoked;
  for (const std::string& name : names) {
    const auto device = registry_->device(name);
    if (!device || !*device) continue;
    // One that is not: it may have been that one, by a certificate of before.
    if (!(*device)->revoked || !revoked.empty()) return "";
    revoked = name;
  }
  return revoked;
}

void Knocking::by_address(const std::string& address, std::uint64_t count, const std::set<std::string>& names) {
  const std::string revoked = of_names(names);
  if (revoked.empty()) return add("a certificate that is not let in, from " + address + ",", "", count);
  add("'" + revoked + "', which is revoked,", address, count);
}

void Knocking::add(const std::string& who, const std::string& from, std::uint64_t count) {
  const Timestamp now = clock_->now();
  auto known = knockers_.find(who);
  if (known == knockers_.end()) {
    if (knockers_.size() >= most_known) {
      std::erase_if(knockers_, [&](const auto& one) { return now - one.second.last > lately; });
      if (knockers_.size() >= most_known) return;
    }
    known = knockers_.emplace(who, Knocker{0, 0, now, now, from}).first;
  }
  Knocker& knocker = known->second;
  knocker.count += count;
  knocker.last = now;
  if (!from.empty()) knocker.from = from;
  if (knocker.count >= 2 * knocker.told) {
    knocker.told = knocker.count;
    const auto minutes = std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::minutes>(now - knocker.first).count());
    spdlog::warn("{} knocks{}: {} so far, {} a minute", who, knocker.from.empty() ? "" : " (by its address " + knocker.from + ")",
                 counted(knocker.count, "time"), (knocker.count + static_cast<std::uint64_t>(minutes) - 1) / static_cast<std::uint64_t>(minutes));
  }
  if (now - knocker.recorded < recorded_again_after) return;
  knocker.recorded = now;
  record_(who, json_text(nlohmann::json{{"times", knocker.count}, {"from", knocker.from}}));
}

std::vector<std::string> Knocking::words() const {
  std::vector<std::pair<Timestamp, std::string>> all;
  for (const auto& [who, knocker] : knockers_) {
    if (clock_->now() - knocker.last > lately) continue;
    all.emplace_back(knocker.last, who + " knocks" + (knocker.from.empty() ? "" : " (by its address " + knocker.from + ")") + ": " +
                                       counted(knocker.count, "time") + " since " + to_rfc3339(knocker.first) + ", last at " +
                                       to_rfc3339(knocker.last) + "; it is not let in");
  }
  std::sort(all.begin(), all.end(), std::greater<>());
  std::vector<std::string> words;
  for (const auto& [when, text] : all) {
    if (words.size() == most_shown) {
      words.push_back(counted(all.size() - most_shown, "other knocks", "others knock") + " that are not let in");
      break;
    }
    words.push_back(text);
  }
  return words;
}

}  // namespace outcrop::fleet
