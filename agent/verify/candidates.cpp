#include "agent/verify/candidates.hpp"

#include <algorithm>

#include "protocol/base/bytes.hpp"

namespace outcrop::agent {
namespace {

constexpr std::size_t most_of_a_role = 3;
constexpr std::uint64_t farthest_root = 1024;
constexpr ByteCount most_of_roots = ByteCount::mib(4);

}  // namespace

void Candidates::add(const std::string& role, std::string_view envelope,
                     const std::function<bool(const std::string& envelope)>& is_good) {
  std::vector<std::string>& list = envelopes_[role];
  if (std::find(list.begin(), list.end(), envelope) != list.end()) return;
  if (list.size() == most_of_a_role) {
    const auto bad = std::find_if_not(list.begin(), list.end(), is_good);
    list.erase(bad != list.end() ? bad : list.begin());
  }
  list.emplace_back(envelope);
}

const std::vector<std::string>& Candidates::of(const std::string& role) const {
  static const std::vector<std::string> none;
  const auto found = envelopes_.find(role);
  return found == envelopes_.end() ? none : found->second;
}

void Candidates::forget(const std::string& role, const std::string& envelope) {
  std::erase(envelopes_[role], envelope);
}

Status RootCandidates::add(std::uint64_t version, std::string_view envelope,
                           std::uint64_t current) {
  if (version - current > farthest_root) {
    return fail(ErrorCode::refused, "root " + std::to_string(version) + " is too far ahead of " +
                                        std::to_string(current) + ", the one that is trusted");
  }
  envelopes_[version] = envelope;
  std::uint64_t bytes = 0;
  for (const auto& [number, text] : envelopes_) bytes += text.size();
  // The nearest are of use first.
  while (bytes > most_of_roots.value()) {
    const auto last = std::prev(envelopes_.end());
    const bool is_new = last->first == version;
    bytes -= last->second.size();
    envelopes_.erase(last);
    if (is_new) {
      return fail(ErrorCode::refused,
                  "root " + std::to_string(version) + " must wait: too many came before it");
    }
  }
  return {};
}

std::optional<std::string> RootCandidates::take(std::uint64_t version) {
  envelopes_.erase(envelopes_.begin(), envelopes_.lower_bound(version));
  const auto found = envelopes_.find(version);
  if (found == envelopes_.end()) return std::nullopt;
  std::string envelope = std::move(found->second);
  envelopes_.erase(found);
  return envelope;
}

}  // namespace outcrop::agent
