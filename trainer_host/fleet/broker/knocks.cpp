#include "trainer_host/fleet/broker/knocks.hpp"

#include "trainer_host/fleet/broker/twins.hpp"

namespace outcrop::fleet {
namespace {

// A fleet behind few addresses, or a stranger with many: neither takes more memory than this.
constexpr std::size_t most_names = 32'768;
constexpr std::size_t most_at_an_address = 16;
constexpr std::size_t most_knocking = 64;  // addresses, of one reading

constexpr std::string_view new_connection = ": New connection from ";
constexpr std::string_view refused = "certificate verify failed";

}  // namespace

// "TIME: New connection from ADDRESS:PORT on port 8883."
// "TIME: OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed"
void Knocks::read_line(std::string_view line, std::map<std::string, Knock>& knocks) {
  if (const auto let_in = Twins::parse(line); let_in && !let_in->address.empty()) {
    if (place_.size() >= most_names && !place_.contains(let_in->client)) return;
    std::string& place = place_[let_in->client];
    if (place == let_in->address) return;
    if (const auto before = let_in_.find(place); before != let_in_.end()) {
      before->second.erase(let_in->client);
      if (before->second.empty()) let_in_.erase(before);
    }
    place = let_in->address;
    auto& names = let_in_[place];
    if (names.size() < most_at_an_address) names.insert(let_in->client);
    return;
  }
  if (const auto at = line.find(new_connection); at != std::string_view::npos) {
    std::string_view rest = line.substr(at + new_connection.size());
    const std::size_t end = rest.find(" on port ");
    if (end == std::string_view::npos) return;
    const bool ours = rest.substr(end + 9) == std::to_string(port_) + ".";
    rest = rest.substr(0, end);
    if (ours) latest_ = std::string(rest.substr(0, rest.rfind(':')));
    return;
  }
  if (latest_.empty() || line.find(": OpenSSL Error[0]: ") == std::string_view::npos || !line.ends_with(refused)) return;
  if (knocks.size() >= most_knocking && !knocks.contains(latest_)) return;
  Knock& knock = knocks[latest_];
  knock.address = latest_;
  ++knock.count;
  if (const auto names = let_in_.find(latest_); names != let_in_.end()) knock.names = names->second;
}

std::vector<Knocks::Knock> Knocks::read(std::string_view log) {
  std::map<std::string, Knock> knocks;
  while (!log.empty()) {
    const std::size_t end = log.find('\n');
    read_line(log.substr(0, end), knocks);
    log.remove_prefix(end == std::string_view::npos ? log.size() : end + 1);
  }
  std::vector<Knock> all;
  for (auto& [address, knock] : knocks) all.push_back(std::move(knock));
  return all;
}

}  // namespace outcrop::fleet
