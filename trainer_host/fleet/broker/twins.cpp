#include "trainer_host/fleet/broker/twins.hpp"

#include <utility>

#include "protocol/messages/names.hpp"

namespace outcrop::fleet {
namespace {

// So many turns within so long are no board that moved to another network.
constexpr std::size_t telling_turns = 3;
constexpr std::chrono::hours within{1};

// What stands between two words; none where they do not stand there.
std::optional<std::string> between(std::string_view text, std::string_view before,
                                   std::string_view after) {
  const std::size_t start = text.find(before);
  if (start == std::string_view::npos) return std::nullopt;
  text.remove_prefix(start + before.size());
  const std::size_t end = text.find(after);
  if (end == std::string_view::npos) return std::nullopt;
  return std::string(text.substr(0, end));
}

}  // namespace

// "TIME: Client NAME already connected, closing old connection."
// "TIME: New client connected from ADDRESS:PORT as NAME (p5, c1, k20, u'NAME')."
std::optional<Twins::Line> Twins::parse(std::string_view line) {
  Line found;
  if (auto client = between(line, ": Client ", " already connected, closing old")) {
    found.client = std::move(*client);
  } else if (auto place = between(line, ": New client connected from ", " as ")) {
    auto client_of_it = between(line, " as ", " (");
    if (!client_of_it) return std::nullopt;
    found.client = std::move(*client_of_it);
    found.address = place->substr(0, place->rfind(':'));
  }
  if (!messages::is_name(found.client)) return std::nullopt;  // outcropd's own, and no line of these
  return found;
}

std::vector<Twins::Twin> Twins::read(std::string_view log, Time now) {
  std::vector<Twin> twins;
  while (!log.empty()) {
    const std::size_t end = log.find('\n');
    const auto line = parse(log.substr(0, end));
    log.remove_prefix(end == std::string_view::npos ? log.size() : end + 1);
    if (!line) continue;
    Client& client = clients_[line->client];
    if (line->address.empty()) {
      client.taken_over = true;
      continue;
    }
    const std::string before = std::exchange(client.address, line->address);
    if (!std::exchange(client.taken_over, false) || before.empty() || before == line->address) {
      continue;
    }
    client.turns.push_back(now);
    std::erase_if(client.turns, [&](Time turn) { return now - turn > within; });
    if (client.turns.size() < telling_turns || (client.told && now - *client.told < within)) {
      continue;
    }
    client.told = now;
    twins.push_back({line->client, {before, line->address}});
  }
  return twins;
}

}  // namespace outcrop::fleet
