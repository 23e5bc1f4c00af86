#include "trainer_host/fleet/ingest/ingest.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "protocol/base/counted.hpp"
#include "protocol/messages/layers.hpp"
#include "protocol/messages/names.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/envelope.hpp"
#include "trainer_host/fleet/ingest/layer_times.hpp"
#include "trainer_host/fleet/ingest/vouching.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::string_view device_prefix = "outcrop/v1/d/";
constexpr SignedKind<messages::Report> reports{"report", "a report", envelope_around(messages::report_limit), messages::parse_report};
constexpr SignedKind<messages::Layers> times_of_layers{messages::layers_kind, "layer times", envelope_around(messages::layers_limit),
                                                   messages::parse_layers};
constexpr SignedKind<messages::Renewal> renewal_requests{messages::renewal_kind, "a renewal", messages::renewal_limit, messages::parse_renewal};
constexpr SignedKind<messages::Telemetry> samples{messages::telemetry_kind, "telemetry", envelope_around(messages::telemetry_limit),
                                                  messages::parse_telemetry};
constexpr SignedKind<messages::Picture> pictures{messages::picture_kind, "a picture", envelope_around(messages::picture_limit),
                                                 messages::parse_picture};
constexpr std::chrono::hours old_key_counts_for{1};
constexpr std::chrono::minutes clocks_differ{5};
constexpr std::chrono::hours samples_kept{48};
constexpr std::size_t most_at_once = 16;
constexpr std::chrono::milliseconds a_moment{20}, least_work{1};
constexpr double least_together = 32, most_together = 512;
// So many set-backs of one board within so long are two boards.
constexpr std::size_t too_many_set_backs = 3;
constexpr std::chrono::hours set_backs_within{1};
constexpr std::size_t most_instances = 8;

constexpr Refusal stale{&IngestStatistics::stale, "stale"};
constexpr Refusal unknown{&IngestStatistics::unknown, "unknown"};
constexpr Refusal malformed{&IngestStatistics::malformed, "malformed"};
constexpr Refusal forged{&IngestStatistics::forged, "forged"};
constexpr Refusal untimely{&IngestStatistics::untimely, "untimely"};

const Refusal& refusal_of(NotSigned::Fault fault) {
  const bool claims = fault == NotSigned::Fault::unsigned_by_it || fault == NotSigned::Fault::of_another;
  return claims ? forged : malformed;
}

// As metrics name it.
const char* name_of(NotSigned::Fault fault) {
  switch (fault) {
    case NotSigned::Fault::too_long: return "too long";
    case NotSigned::Fault::unsigned_by_it: return "not signed by the board";
    case NotSigned::Fault::malformed: return "malformed";
    case NotSigned::Fault::of_another: return "of another board";
  }
  return "malformed";
}

}  // namespace

Ingest::Ingest(Registry& registry, const Clock& clock, IngestHandlers handlers, SteadyTime steady)
    : registry_(&registry),
      clock_(&clock),
      handlers_(std::move(handlers)),
      steady_(std::move(steady)) {}

bool Ingest::on_message(const transport::Message& message) {
  std::string_view rest = message.topic;
  if (!rest.starts_with(device_prefix)) return false;
  rest.remove_prefix(device_prefix.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string name(rest.substr(0, slash));
  const std::string_view leaf = rest.substr(slash + 1);
  const bool known = leaf == "status" || leaf == "up/progress" || leaf == "up/report" ||
                     leaf == "up/telemetry" || leaf == "up/renewal" || leaf == "up/layers" ||
                     leaf == "up/picture";
  if (!known) return false;
  // An empty retained message is how a broker says that there is none.
  if (leaf == "status" && message.payload.empty()) return true;
  Voice* voice = voice_of(name);
  if (voice == nullptr) return true;
  if (leaf == "status") {
    heard_.insert(name);
    take_status(name, *voice, message);
  } else if (leaf == "up/progress") {
    if (!voice->progress.take(steady_())) {
      limit(name, "progress");
    } else {
      on_progress(name, message.payload);
    }
  } else if (leaf == "up/telemetry") {
    on_telemetry(name, *voice, message.payload);
  } else if (leaf == "up/picture") {
    on_picture(name, *voice, message.payload);
  } else if (!voice->reports.take(steady_())) {
    limit(name, "reports");
  } else if (leaf == "up/renewal") {
    on_renewal(name, message.payload);
  } else if (leaf == "up/layers") {
    on_layers(name, message.payload);
  } else {
    on_report(name, message.payload);
  }
  return true;
}

// Telemetry is no business of this database: what happens to one leaves the other as it is.
void Ingest::take(const std::vector<transport::Message>& messages) {
  constexpr std::string_view telemetry = "/up/telemetry";
  std::vector<const transport::Message*> others;
  for (const transport::Message& message : messages) {
    if (message.topic.ends_with(telemetry)) {
      on_message(message);
    } else {
      others.push_back(&message);
    }
  }
  if (others.empty()) return;
  together_ = true;
  using Steady = std::chrono::steady_clock;
  const auto begun = Steady::now();
  auto worked = begun;
  const Status kept = registry_->transaction([&]() -> Status {
    for (const transport::Message* message : others) on_message(*message);
    worked = Steady::now();
    return {};
  });
  together_ = false;
  const std::chrono::duration<double> working = worked - begun;
  const std::chrono::duration<double> enough = std::max<std::chrono::duration<double>>(a_moment, Steady::now() - worked);
  const double wanted = static_cast<double>(others.size()) * enough / std::max<std::chrono::duration<double>>(working, least_work);
  lot_ = static_cast<std::size_t>(std::clamp<double>(wanted, least_together, most_together));
  news_.report("storing what boards say", kept);
  const auto then = std::exchange(afterwards_, {});
  if (!kept) owes_status_ = true;
  for (const auto& work : then) {
    if (kept) work();
  }
}

void Ingest::afterwards(std::function<void()> work) {
  if (together_) {
    afterwards_.push_back(std::move(work));
  } else {
    work();
  }
}

// Those that are enrolled when the host starts are no strangers: a fleet's statuses come all at once, and whoever has a
// certificate and no place here may not take their turns.
void Ingest::know_enrolled() {
  if (knows_enrolled_) return;
  const auto devices = registry_->devices();
  if (!devices) return news_.report("reading the devices", fail(devices.error()));
  for (const Device& device : *devices) {
    if (!device.revoked) voices_[device.name];
  }
  knows_enrolled_ = true;
}

// Before anything is looked up or parsed: a flood costs little more than its counting.
Ingest::Voice* Ingest::voice_of(const std::string& name) {
  know_enrolled();
  if (const auto found = voices_.find(name); found != voices_.end()) return &found->second;
  if (!strangers_.take(steady_())) {
    ++statistics_.unknown;
    owes_status_ = true;  // a board that was enrolled meanwhile, perhaps
    return nullptr;
  }
  if (!sender(name)) return nullptr;
  return &voices_[name];
}

void Ingest::take_status(const std::string& name, Voice& voice, const transport::Message& message) {
  if (voice.statuses.take(steady_())) {
    voice.waiting.reset();
    return on_status(name, message);
  }
  limit(name, "status");
  voice.waiting = message;
  // Of such a flood the broker lets some go, perhaps the last: it is asked for what it retains.
  heard_.erase(name);
  asked_.erase(name);
}

void Ingest::take_waiting() {
  std::vector<std::pair<std::string, transport::Message>> taken;
  for (auto& [name, voice] : voices_) {
    if (taken.size() == most_at_once) break;  // what else there is to do has its turn
    if (!voice.waiting || !voice.statuses.take(steady_())) continue;
    taken.emplace_back(name, *std::exchange(voice.waiting, std::nullopt));
  }
  for (const auto& [name, message] : taken) on_status(name, message);
}

std::vector<std::string> Ingest::unheard(std::size_t most) {
  constexpr int often = 3;
  know_enrolled();
  std::vector<std::string> page;
  for (int times = 0; times < often; ++times) {  // those first that were asked least
    for (const auto& [name, voice] : voices_) {
      if (page.size() == most) return page;
      if (heard_.contains(name)) continue;
      int& asked = asked_[name];
      if (asked != times) continue;
      ++asked;
      page.push_back(name);
    }
    if (!page.empty()) return page;  // nobody twice in a page
  }
  return page;
}

void Ingest::limit(const std::string& name, const std::string& kind) {
  ++statistics_.limited;
  const std::uint64_t often = presence_.said_too_much(name, kind);
  if ((often & (often - 1)) != 0) return;
  spdlog::warn("'{}' says more {} than a board may: {} so far", name, kind, counted(often, "message"));
  if (!handlers_.says_too_much) return;
  afterwards([this, name, kind, often] { handlers_.says_too_much(name, kind, often); });
}

void Ingest::forget(const std::string& device) {
  presence_.forget(device);
  set_back_.erase(device);
  voices_.erase(device);
  renewals_.forget(device);
  left_.erase(device);
}

trust::Signers Ingest::signers_of(const Device& device) const {
  trust::Signers signers{"board " + device.name, {{device.key.id(), device.key}}, 1};
  const auto left = left_.find(device.name);
  if (left != left_.end() && steady_() < left->second.until) signers.keys.emplace(left->second.key.id(), left->second.key);
  return signers;
}

// Whoever misbehaves shall not fill the log: the first is told, then the 2nd, 4th, 8th, ... By board, so that no flood of one hides
// the first of another; of names that nobody has, of which there may be any number, all together.
void Ingest::refuse(const Refusal& refusal, const std::string& name, const std::string& why) {
  const std::uint64_t of_all = ++(statistics_.*refusal.counter);
  const std::uint64_t often = voices_.contains(name) ? presence_.was_refused(name, refusal.kind) : of_all;
  if ((often & (often - 1)) == 0) {
    spdlog::warn("refused a message of '{}': {} ({} {} so far)", name, why, often, refusal.kind);
  }
}

void Ingest::refuse(const std::string& name, const NotSigned& no) {
  refuse(refusal_of(no.fault), name, no.why);
}

std::optional<Device> Ingest::sender(const std::string& name) {
  if (!messages::is_name(name)) {
    refuse(unknown, "?", "its topic names no device");
    return std::nullopt;
  }
  auto device = registry_->device(name);
  if (!device) {
    owes_status_ = true;  // which it may have been
    news_.report("looking up the device '" + name + "'", fail(device.error()));
    return std::nullopt;
  }
  if (!*device) {
    refuse(unknown, name, "it is not enrolled");
    return std::nullopt;
  }
  if ((*device)->revoked) {
    refuse(unknown, name, "it is revoked");
    if (handlers_.shut_out) handlers_.shut_out(name);
    return std::nullopt;
  }
  return std::move(**device);
}

void Ingest::draw_attention(Device& device, const std::string& to) {
  if (device.attention == to) return;
  device.attention = to;
  spdlog::warn("{}: {}", device.name, to);
}

// An agent counts from the seconds since 1970, so that a board's first session is no leap either.
std::uint64_t Ingest::highest_known_session(const Device& device) const {
  const auto seconds = std::max<std::int64_t>(0, clock_->now().time_since_epoch().count());
  return std::max(device.highest_session, static_cast<std::uint64_t>(seconds));
}

// Each of two boards that have one identity ends the other's connection, and comes back.
bool Ingest::goes_back_and_forth(const std::string& name) {
  SetBack& board = set_back_[name];
  const Timestamp now = clock_->now();
  std::erase_if(board.times, [&](Timestamp time) { return now - time > set_backs_within; });
  if (board.returned && now - *board.returned > set_backs_within) board.returned.reset();
  return board.times.size() >= too_many_set_backs || board.returned;
}

// An agent that starts again is another instance: one that comes back after another never ended. Tells two cards
// with one image apart that were switched on together and reach the broker from one address.
bool Ingest::returns(const std::string& name, std::uint64_t instance) {
  SetBack& board = set_back_[name];
  const std::uint64_t before = board.instance;
  if (instance == 0 || instance == before) return false;
  board.instance = instance;
  std::vector<std::uint64_t>& left = board.instances_left;
  const bool again = std::erase(left, instance) > 0;
  if (before != 0) left.push_back(before);
  if (left.size() > most_instances) left.erase(left.begin());
  if (again) board.returned = clock_->now();
  return again;
}

void Ingest::name_twins(Device& device, const std::string& who) {
  draw_attention(device, "two boards use its identity (a card was copied, say): " + who +
                             " take turns. Switch one off, revoke '" + device.name +
                             "', and enrol both anew under names of their own");
}

void Ingest::on_twins(const std::string& name, const std::string& places) {
  auto device = sender(name);
  if (!device) return;
  name_twins(*device, "connections from " + places);
  (void)store_word(*device);
}

// What it says from now on is newer than what it said before, whatever the numbers say.
void Ingest::believe_anew(const std::string& name) {
  auto desired = registry_->desired(name);
  if (!desired || !*desired) return;
  (*desired)->message = {0, 0};
  if (const Status saved = registry_->save(**desired); !saved) {
    spdlog::error("{}: {}", name, saved.error().message());
  }
}

void Ingest::on_older_session(Device& device, const messages::DeviceStatus& status) {
  const std::uint64_t before = device.status->session;
  set_back_[device.name].left = before;
  set_back_[device.name].times.push_back(clock_->now());
  believe_anew(device.name);
  if (goes_back_and_forth(device.name)) {
    name_twins(device, "sessions " + std::to_string(before) + " and " + std::to_string(status.session));
    return;
  }
  draw_attention(device, "its card was set back to an older state: session " +
                             std::to_string(status.session) + " came after session " +
                             std::to_string(device.highest_session) +
                             ". It is believed; an agent that knows how takes new numbers by "
                             "itself. Where it is another board with a copy of that card, "
                             "revoke '" +
                             device.name + "' and enrol both anew");
  if (handlers_.used) {
    afterwards([this, name = device.name, highest = device.highest_session] { handlers_.used(name, highest); });
  }
}

// In an envelope where the board's root names a director. A board that signed once signs always:
// what comes unsigned is not its word.
Result<messages::DeviceStatus> Ingest::read_status(Device& device, std::string_view payload) const {
  if (!device.signs && payload.find("\"payloadType\"") == std::string_view::npos) {
    return messages::parse_status(payload);
  }
  OUTCROP_TRY(verified, trust::verify_envelope(payload, messages::status_kind, signers_of(device)));
  OUTCROP_TRY(status, messages::parse_status(as_text(verified.bytes())));
  device.signs = true;
  return status;
}

// A status that says nothing new is not worth a write, but for when it came, once a minute.
bool Ingest::store_status(const Device& device, const Device& before) {
  const bool same = device.status == before.status && device.signs == before.signs &&
                    device.highest_session == before.highest_session &&
                    device.attention == before.attention && before.last_seen &&
                    *device.last_seen - *before.last_seen < std::chrono::minutes(1);
  if (same) return true;
  return store_word(device);
}

// False where it could not be stored, or where the board was revoked or enrolled anew meanwhile.
bool Ingest::store_word(const Device& device) {
  const auto saved = registry_->save_word(device);
  news_.report("storing the status of '" + device.name + "'",
               saved ? Status() : fail(saved.error()));
  if (!saved) owes_status_ = true;
  if (saved && !*saved) refuse(unknown, device.name, "it is revoked");
  return saved && *saved;
}

void Ingest::on_status(const std::string& name, const transport::Message& message) {
  auto device = sender(name);
  if (!device) return;
  auto status = read_status(*device, message.payload);
  if (!status) {
    const bool is_forged = status.error().code() == ErrorCode::untrusted || device->signs;
    return refuse(is_forged ? forged : malformed, name,
                  status.error().message());
  }
  if (status->device != name) {
    return refuse(forged, name, "its status is that of '" + status->device + "'");
  }
  if (const std::uint64_t known = highest_known_session(*device);
      messages::leaps(status->session, known)) {
    return refuse(malformed, name,
                  "session " + std::to_string(status->session) + " leaps beyond " +
                      std::to_string(known) + ", and counts for nothing");
  }
  const bool first = !device->status;
  const Device before = *device;
  // Written before it was known, or by an outcropd that knew of no highest one.
  if (!first) device->highest_session = std::max(device->highest_session, device->status->session);
  const bool older = !first && status->session < device->status->session;
  const bool again = !first && status->session > device->status->session &&
                     status->session == set_back_[name].left;
  // The will of a session that was left for a lower one.
  const bool late = !first && !status->online && status->session != device->status->session &&
                    status->session <= device->highest_session;
  if (late || (older && message.retained)) {
    if (status->online && handlers_.used) {
      afterwards([this, name, highest = device->highest_session] { handlers_.used(name, highest); });
    }
    return refuse(stale, name,
                  "session " + std::to_string(status->session) + " is over, " +
                      std::to_string(device->status->session) + " began since");
  }
  const bool returned = status->online && !message.retained && returns(name, status->instance);
  if (status->online && (older || again)) {
    on_older_session(*device, *status);
  } else if (returned) {
    name_twins(*device, "two agents with session " + std::to_string(status->session));
  } else if (status->session > device->highest_session && !goes_back_and_forth(name)) {
    device->attention.clear();  // its numbers are its own again
  }
  // A will was written when its session began: that the session ended is all it has to tell.
  const bool last_will = !status->online && !first && device->status->session == status->session;
  if (last_will) {
    device->status->online = false;
  } else {
    device->status = *status;
  }
  device->highest_session = std::max(device->highest_session, status->session);
  // What a broker remembers of one that is away says nothing of when it left.
  if (status->online || !message.retained || !device->last_seen) {
    device->last_seen = clock_->now();
  }
  if (!store_status(*device, before)) return;
  ++statistics_.statuses;
  const bool was_held = before.status && before.status->held;
  if (handlers_.held && device->status->held != was_held) {
    afterwards([this, name, held = device->status->held] { handlers_.held(name, held); });
  }
  // Whoever sees that it is there sees what it said, too: another thread reads what is committed.
  afterwards([this, name, online = status->online] { online ? presence_.came(name) : presence_.went(name); });
  if (status->deployment && !last_will && handlers_.statement) {
    handlers_.statement(name, {status->deployment->id,
                               status->deployment->state,
                               status->deployment->reason,
                               {status->session, 0},
                               false});
  }
  if (handlers_.status) afterwards([this, name, first] { handlers_.status(name, first); });
}

void Ingest::on_progress(const std::string& name, std::string_view payload) {
  if (!sender(name)) return;
  auto progress = messages::parse_progress(payload);
  if (!progress) return refuse(malformed, name, progress.error().message());
  const messages::DeviceHeader& header = progress->header;
  if (header.device != name) {
    return refuse(forged, name, "its progress is that of '" + header.device + "'");
  }
  ++statistics_.progress;
  const Statement statement{progress->deployment,
                            progress->state,
                            progress->reason,
                            {header.session, header.sequence},
                            false};
  presence_.is_at(name, std::move(*progress));
  if (handlers_.statement) handlers_.statement(name, statement);
}

void Ingest::on_used_number(Device device, const messages::Report& report) {
  ++statistics_.used;
  device.highest_session = std::max(device.highest_session, report.header.session);
  if (device.attention.empty()) {
    draw_attention(device, "report " + std::to_string(report.header.sequence) + " of session " +
                               std::to_string(report.header.session) +
                               " came with two contents, and both are kept: its card was set back "
                               "to an older state, or two boards use its identity. An agent that "
                               "knows how takes new numbers by itself; of two boards revoke '" +
                               device.name + "' and enrol both anew");
  }
  if (!store_word(device)) return;
  believe_anew(device.name);
  if (handlers_.used && !goes_back_and_forth(device.name)) {
    afterwards([this, name = device.name, highest = device.highest_session] { handlers_.used(name, highest); });
  }
}

void Ingest::on_report(const std::string& name, std::string_view payload) {
  const auto device = sender(name);
  if (!device) return;
  const trust::KeyId key = device->key.id();
  const auto report = read_signed(reports, payload, name, signers_of(*device));
  if (!report) return refuse(name, report.error());
  const auto added = registry_->add_report(*report, key, payload, clock_->now());
  news_.report("storing a report of '" + name + "'", added ? Status() : fail(added.error()));
  if (!added) return;  // not acknowledged: the board keeps it and sends it again
  const messages::MessageId id{report->header.session, report->header.sequence};
  ++(*added == ReportTaken::repeated ? statistics_.repeated : statistics_.reports);
  if (*added == ReportTaken::number_used) on_used_number(*device, *report);
  // For a repeat, too: this program may have been killed right after it stored the report.
  if (handlers_.statement) {
    const bool measured = !report->variants.empty();
    handlers_.statement(name,
                        {report->deployment, report->state, report->reason, id, true, measured,
                         messages::slowdown(*report)});
  }
  afterwards([this, name, id, report = *report, received = clock_->now()] {
    if (handlers_.measured && handlers_.measured(report, received)) return;
    if (handlers_.acknowledge) handlers_.acknowledge(name, {{id}, report.header.protocol});
  });
}

// Nobody waits for an answer: who asked and misses them asks again.
void Ingest::on_layers(const std::string& name, std::string_view payload) {
  const auto device = sender(name);
  if (!device) return;
  const auto layers = read_signed(times_of_layers, payload, name, signers_of(*device));
  if (!layers) return refuse(name, layers.error());
  const Status kept = keep_layer_times(*registry_, *layers, *device);
  if (kept) return;
  refuse(kept.error().code() == ErrorCode::expired ? stale : malformed, name, kept.error().message());
}

void Ingest::on_renewal(const std::string& name, std::string_view payload) {
  const auto device = sender(name);
  if (!device) return;
  // By the key that counts now, and no earlier one.
  const trust::Signers board{"board " + name, {{device->key.id(), device->key}}, 1};
  const auto renewal = read_signed(renewal_requests, payload, name, board);
  if (!renewal) return refuse(name, renewal.error());
  const auto next = trust::read_certificate_request(renewal->certificate_request);
  if (!next) return refuse(forged, name, next.error().message());
  if (renewal->certificate.empty()) return renewals_.asked(name, renewal->certificate_request, clock_->now());
  if (const Status renewed = renew(*device, *renewal, *next); !renewed) {
    return refuse(forged, name, "its new certificate: " + renewed.error().message());
  }
  const messages::MessageId id{renewal->header.session, renewal->header.sequence};
  afterwards([this, name, id] {
    if (handlers_.acknowledge) handlers_.acknowledge(name, {{id}, signed_since});
  });
}

// By the word of the key that counts until then. The same again changes nothing, and is acknowledged.
Status Ingest::renew(Device device, const messages::Renewal& renewal, const trust::PublicKey& next) {
  OUTCROP_TRY(info, trust::read_certificate(renewal.certificate));
  if (info.key != next || info.common_name != device.name) {
    return fail(ErrorCode::untrusted, "it is for '" + info.common_name + "', or for another key than it asked for");
  }
  if (device.key == next) return {};
  OUTCROP_TRY(authorities, registry_->authorities());
  OUTCROP_TRY(authority, vouches_for(authorities, renewal.certificate, info.serial));
  const Left left{device.key, steady_() + old_key_counts_for};
  device.key = next;
  device.certificate = renewal.certificate;
  OUTCROP_CHECK(registry_->save(device));
  left_.insert_or_assign(device.name, left);
  renewals_.forget(device.name);
  spdlog::info("'{}' has a new key, {}", device.name, next.id().hex().substr(0, 12));
  if (handlers_.renewed) afterwards([this, name = device.name] { handlers_.renewed(name); });
  return {};
}

Result<Timestamp> time_of_sample(const messages::DeviceHeader& header, Timestamp received) {
  if (!header.clock_synchronised) return received;
  if (header.time > received + clocks_differ) {
    return fail(ErrorCode::refused, "a sample of " + to_rfc3339(header.time) + " is from the future: it is " +
                                        to_rfc3339(received) + " here");
  }
  if (header.time < received - samples_kept) {
    return fail(ErrorCode::expired, "a sample of " + to_rfc3339(header.time) +
                                        " is of longer ago than samples are kept");
  }
  return header.time;
}

void Ingest::refuse_telemetry(const Refusal& refusal, const std::string& name, const std::string& kind,
                              const std::string& why) {
  refuse(refusal, name, why);
  if (handlers_.refused) handlers_.refused(kind);
}

// What is too much, or of the future, is not acknowledged: the board has it, and says it again.
void Ingest::on_telemetry(const std::string& name, Voice& voice, std::string_view payload) {
  if (!voice.telemetry.take(steady_())) {
    limit(name, "telemetry");
    if (handlers_.refused) handlers_.refused("too often");
    return;
  }
  const std::uint64_t unknown_before = statistics_.unknown;
  const auto device = sender(name);
  if (!device) {
    if (handlers_.refused && statistics_.unknown > unknown_before) handlers_.refused("not enrolled, or revoked");
    return;
  }
  auto telemetry = read_signed(samples, payload, name, signers_of(*device));
  if (!telemetry) {
    const NotSigned& no = telemetry.error();
    return refuse_telemetry(refusal_of(no.fault), name, name_of(no.fault), no.why);
  }
  const messages::MessageId id{telemetry->header.session, telemetry->header.sequence};
  const int protocol = telemetry->header.protocol;
  const auto at = time_of_sample(telemetry->header, clock_->now());
  if (!at) {
    const bool old = at.error().code() == ErrorCode::expired;
    refuse_telemetry(untimely, name, old ? "from too long ago" : "from the future",
                     at.error().message());
    if (old && handlers_.acknowledge) handlers_.acknowledge(name, {{id}, protocol});
    return;
  }
  if (!handlers_.telemetry || !handlers_.telemetry(std::move(*telemetry), *at)) return;
  ++statistics_.telemetry;
}

// Nobody asked for it: too much, like what comes too often.
void Ingest::on_picture(const std::string& name, Voice& voice, std::string_view payload) {
  if (!voice.pictures.take(steady_())) return limit(name, "pictures");
  const auto device = sender(name);
  if (!device) return;
  const auto picture = read_signed(pictures, payload, name, signers_of(*device));
  if (!picture) return refuse(name, picture.error());
  const auto kept = registry_->save(*picture, clock_->now());
  news_.report("storing a picture of '" + name + "'", kept ? Status() : fail(kept.error()));
  if (!kept) return;  // not acknowledged: it says it again
  if (!*kept) return limit(name, "pictures");
  ++statistics_.pictures;
  afterwards([this, name, header = picture->header] {
    if (handlers_.acknowledge) handlers_.acknowledge(name, {{{header.session, header.sequence}}, header.protocol});
    if (handlers_.drew) handlers_.drew(name);
  });
}

}  // namespace outcrop::fleet
