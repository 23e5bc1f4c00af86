#include "tests/agent/faults/trial.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "agent/deploy/ledger.hpp"
#include "agent/enroll/identity.hpp"
#include "agent/fsck/fsck.hpp"
#include "agent/slots/installed_json.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/trust/enrolment_token.hpp"
#include "tests/agent/faults/power_cut.hpp"
#include "tests/agent/forge.hpp"
#include "tests/support/value_of.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds beyond_patience{25};
constexpr std::chrono::seconds patience_with_models{90};
constexpr std::uint64_t last_generation = 3;
constexpr std::size_t bytes_of_a_model = 150'000;  // three chunks

constexpr int most_restarts = 3;
constexpr std::chrono::milliseconds before_restart{200};

// The generation whose end the host waits for under the fault: a move comes before the second.
std::uint64_t ends_with(const FaultyBoard::Fault& fault) {
  return fault.move == Life::Move::none ? 2 : 1;
}

std::string last_line(const fs::path& file) {
  std::ifstream stream(file);
  std::string last;
  for (std::string line; std::getline(stream, line);) last = line;
  return last;
}

// In a process of its own; its exit status, or 128 + the signal that ended it.
int start_once(const Life& life) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("no process to be had");
  if (child == 0) {
    const std::string log = (life.folder / "log").string();
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    ::_exit(live(life));
  }
  const auto end = SteadyClock::now() + life.patience + beyond_patience;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (SteadyClock::now() > end) ::kill(child, SIGABRT);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct Lived {
  int status = 0;           // of its last start
  std::uint64_t calls = 0;  // that the fault could have befallen
};

// Through as many starts as the agent asks for.
Lived live_apart(Life life) {
  Lived lived;
  while (true) {
    fs::remove(calls_of(life.folder));
    lived.status = start_once(life);
    std::uint64_t calls = 0;
    std::ifstream(calls_of(life.folder)) >> calls;
    lived.calls += calls;
    if (lived.status != is_to_begin_again) return lived;
    if (life.disk.at == 0) continue;
    const bool met = life.disk.at <= calls;
    life.disk.at = !met ? life.disk.at - calls : life.disk.for_ever ? 1 : 0;
  }
}

void enroll(const fs::path& state, const fs::path& authority, const Forge& forge) {
  fs::create_directories(state);
  const auto request = value_of(
      agent::request_enrolment(state, "0123456789abcdef-0123456789abcdef0123456789abcdef"));
  const auto key = value_of(trust::read_certificate_request(request.certificate_request));
  const auto devices = value_of(pki::Authority::open_or_make(authority, "Outcrop devices"));
  messages::EnrolmentBundle bundle;
  bundle.device = "pi-1";
  bundle.model = Forge::model;
  bundle.device_class = Forge::device_class;
  bundle.certificate = value_of(devices.issue({"pi-1", {}, pki::Authority::Usage::client}, key));
  bundle.broker_authority = devices.certificate();
  bundle.broker_host = "127.0.0.1";
  bundle.broker_port = 1;
  bundle.root_envelope = forge.root();
  bundle.root = trust::sha256(forge.root());
  bundle.mac = trust::token_mac(trust::answer_key("0123456789abcdef0123456789abcdef").hex(), unproved_text(bundle));
  check(agent::accept_enrolment(state, bundle, Forge::model, Forge::device_class));
}

// What the ledger says, in the files in which agents up to 0.1 kept it.
void write_as_earlier_agent(const fs::path& state) {
  const agent::Decided decided = agent::Ledger::open(state).found();
  messages::Json record = agent::to_json(decided.record);
  record["version"] = 1;
  record.erase("boot");
  record["deployment"].erase("power_cuts");
  record["deployment"].erase("soaked_ms");
  const messages::Json slots{{"format", 1},
                             {"active", agent::to_json(decided.slots.active)},
                             {"previous", agent::to_json(decided.slots.previous)}};
  for (const std::string ending : {"", ".spare"}) {
    check(write_file_durably(state / ("deployment.json" + ending), json_text(record)));
    check(write_file_durably(state / ("releases/slots.json" + ending), json_text(slots)));
    fs::remove(state / ("board.json" + ending));
  }
  check(write_file_durably(state / "releases/kept.json", std::string_view("{\"releases\": []}")));
  fs::remove(state / "committed.json");
  fs::remove(state / "set-aside");
}

// Its blobs are named by their digests; the manifest is the one that names the others.
ForgedRelease read_release(const fs::path& folder) {
  ForgedRelease release;
  for (const auto& file : fs::directory_iterator(folder / "blobs")) {
    std::string bytes = value_of(read_text_file(file.path()));
    const auto digest = trust::sha256(bytes);
    if (bytes.starts_with("{") && bytes.find("\"minimum_agent\"") != std::string::npos) {
      release.manifest = digest;
      release.manifest_size = ByteCount(bytes.size());
    }
    release.blobs[digest] = std::move(bytes);
  }
  return release;
}

}  // namespace

FaultyBoard::FaultyBoard(fs::path folder, Offered offered) : folder_(std::move(folder)), offered_(std::move(offered)) {
  make_offers();
  make_board();
}

void FaultyBoard::make_offers() {
  const fs::path host = folder_ / "board" / "host";
  fs::create_directories(host / "metadata");
  enroll(folder_ / "board" / "state", folder_ / "authority", forge_);
  const auto elsewhere = value_of(pki::Authority::open_or_make(folder_ / "another authority", "Outcrop brokers"));
  check(write_file_durably(host / "authority", std::string_view(elsewhere.certificate())));
  auto store = value_of(fleet::BlobStore::open(host / "blobs"));
  releases_ = {""};
  std::vector<ForgedRelease> releases;
  for (std::uint64_t generation = 1; generation <= last_generation; ++generation) {
    releases.push_back(offered_.releases.empty()
                           ? Forge::make_release({.stage = generation, .variants = {{.padding = bytes_of_a_model}}})
                           : read_release(offered_.releases.at(generation - 1)));
    forge_.permit(releases.back());
    releases_.push_back(releases.back().manifest.hex());
    for (const auto& [digest, bytes] : releases.back().blobs) {
      (void)value_of(
          store.upload(digest, ByteCount(bytes.size()), ByteCount(0), as_bytes(bytes)));
    }
  }
  for (const auto& [role, envelope] : forge_.envelopes()) {
    std::string name = role;
    std::replace(name.begin(), name.end(), '/', '+');
    check(write_file_durably(host / "metadata" / name, std::string_view(envelope)));
  }
  for (std::uint64_t generation = 1; generation <= last_generation; ++generation) {
    messages::Offer offer;
    offer.rollout = "rollout-" + std::to_string(generation);
    offer.generation = generation;
    offer.model = Forge::model;
    offer.device_class = Forge::device_class;
    offer.manifest = releases[generation - 1].manifest;
    offer.manifest_size = releases[generation - 1].manifest_size;
    offer.snapshot_version = forge_.snapshot_version();
    offer.on_unmeasurable = messages::OnUnmeasurable::activate;
    offer.byte_budget = ByteCount::mib(64);
    check(write_file_durably(host / ("offer-" + std::to_string(generation)),
                             messages::to_json(offer)));
  }
}

void FaultyBoard::make_board() {
  if (live_apart(life_in(folder_ / "board", {})).status != 0) {
    throw std::runtime_error("the first release is not served; see " +
                             (folder_ / "board" / "log").string());
  }
}

Life FaultyBoard::life_in(const fs::path& folder, const Fault& fault) const {
  Life life;
  life.forge = &forge_;
  life.move = fault.move;
  life.folder = folder;
  life.runner = offered_.runner;
  if (!offered_.releases.empty()) life.patience = patience_with_models;
  life.boot = "the first boot";
  return life;
}

std::uint64_t FaultyBoard::calls(const Fault& fault) const {
  const fs::path folder = folder_ / "counted";
  fs::remove_all(folder);
  fs::copy(folder_ / "board", folder, fs::copy_options::recursive);
  if (fault.of_earlier_agent) write_as_earlier_agent(folder / "state");
  Life life = life_in(folder, fault);
  life.wanted = ends_with(fault);
  life.disk.kind = fault.disk.kind;
  const Lived lived = live_apart(life);
  if (lived.status != 0) throw std::runtime_error("an update without a fault ended by " + std::to_string(lived.status));
  return lived.calls;
}

FaultyBoard::Verdict FaultyBoard::meet(const Fault& fault) const {
  std::string name = fault.name + " " + fault.where;
  std::replace(name.begin(), name.end(), ' ', '-');
  const fs::path folder = folder_ / name;
  fs::copy(folder_ / "board", folder, fs::copy_options::recursive);
  if (fault.of_earlier_agent) write_as_earlier_agent(folder / "state");
  Life life = life_in(folder, fault);
  life.wanted = ends_with(fault);
  life.disk = fault.disk;
  life.at_point = fault.at_point;
  life.point = fault.point;
  const int status = live_apart(life).status;
  Verdict verdict;
  std::ifstream hit(folder / "hit");
  verdict.hit = static_cast<bool>(std::getline(hit, verdict.befell));
  const bool is_cut = fault.disk.kind == DiskFault::Kind::cut;
  const bool kills = is_cut || fault.disk.kind == DiskFault::Kind::kill ||
                     (!fault.at_point.empty() && fault.at_point != "error");
  // How often the disk is called differs by a few from one update to another.
  if (!verdict.hit && !fault.point.empty()) verdict.wrong.push_back("it did not come there");
  if ((verdict.hit && kills) != (status == 128 + SIGKILL)) {
    verdict.wrong.push_back("its life ended by " + std::to_string(status));
  }
  if (is_cut) {
    cut_power(folder / "state", folder / "synced", fault.seed);
    check_after_cut(folder, verdict);
  }
  if (fault.then.kind != DiskFault::Kind::none) live_under_another(fault, folder, verdict);
  const auto start = SteadyClock::now();
  Life again = life_in(folder, fault);
  again.wanted = last_generation;
  again.boot = is_cut ? "the second boot" : again.boot;
  if (fault.then.kind == DiskFault::Kind::cut) again.boot = "the boot after";
  int end = live_apart(again).status;
  // As systemd does: what a killed agent had just forked may hold its socket for a moment.
  for (int i = 0; i < most_restarts && end == ended_badly; ++i) {
    std::this_thread::sleep_for(before_restart);
    end = live_apart(again).status;
  }
  if (end != 0) {
    verdict.wrong.push_back("no further update: " + std::to_string(end) + ", " +
                            last_line(folder / "log"));
  }
  verdict.recovery_s = std::chrono::duration<double>(SteadyClock::now() - start).count();
  check_heard(fault, folder, verdict);
  if (fault.move != Life::Move::none) check_places(fault, folder, verdict);
  check_files(folder, verdict);
  if (verdict.wrong.empty()) fs::remove_all(folder);
  return verdict;
}

// It takes up what the first fault left, and may come to the end of it before its own.
void FaultyBoard::live_under_another(const Fault& fault, const fs::path& folder, Verdict& verdict) const {
  const bool is_cut = fault.then.kind == DiskFault::Kind::cut;
  fs::remove_all(folder / "synced");
  Life life = life_in(folder, fault);
  life.wanted = ends_with(fault);
  life.disk = fault.then;
  if (fault.disk.kind == DiskFault::Kind::cut) life.boot = "the second boot";
  const int status = live_apart(life).status;
  const bool killed = status == 128 + SIGKILL;
  if (killed) verdict.befell += ", and again";
  const bool had_no_socket = status == ended_badly;  // which what a killed agent had just forked may hold for a moment
  if (!killed && status != 0 && !had_no_socket) verdict.wrong.push_back("its second life ended by " + std::to_string(status));
  if (!is_cut) return;
  cut_power(folder / "state", folder / "synced", fault.seed + 1);
  check_after_cut(folder, verdict);
}

// What the host was told of an end is what the disk knows.
void FaultyBoard::check_after_cut(const fs::path& folder, Verdict& verdict) const {
  for (const Heard& heard : history(folder)) {
    if (heard.kind != "report" || heard.generation != 2 || !is_end(heard.state)) continue;
    const agent::Decided decided = agent::Ledger::open(folder / "state").found();
    const auto serves = agent::committed(decided);
    const bool knows = decided.record.generation >= 2;
    if (!knows || (serves ? serves->manifest.hex() : "-") != heard.active) {
      verdict.wrong.push_back("the host was told " + heard.state + ", and the power cut undid it");
      return;
    }
  }
}

// The small model of what is allowed: an update ends once, by its new release or by the old one;
// never does anything else serve than the release before it, itself once it is on trial, or what
// comes next; and the next one is made.
void FaultyBoard::check_heard(const Fault& fault, const fs::path& folder, Verdict& verdict) const {
  const auto wrong = [&](const std::string& what) { verdict.wrong.push_back(what); };
  std::string next;
  for (const Heard& heard : history(folder)) {
    if (heard.kind == "place" || heard.generation < 2) continue;
    const std::string& before = releases_[heard.generation - 1];
    const std::string& itself = releases_[heard.generation];
    const bool returned = heard.state == "FAILED" || heard.state == "ROLLED_BACK";
    const bool old_serves = heard.active == before || (heard.generation == 3 && heard.active == releases_[1]);
    const bool nothing_is_read = heard.active == "-" && fault.disk.for_ever;
    const bool right = heard.state == "UPDATED" ? heard.active == itself
                       : returned               ? old_serves
                                                : old_serves || heard.active == itself;
    if (!right && !nothing_is_read) {
      wrong("under " + heard.state + " of " + std::to_string(heard.generation) + " serves " +
            heard.active.substr(0, 8));
    }
    if (heard.kind != "report" || !is_end(heard.state)) continue;
    if (heard.generation == 3) next = heard.state;
    if (heard.generation != 2) continue;
    // Where the disk takes nothing at all for ever, the next start goes on from before.
    const bool forgets = fault.disk.for_ever && fault.disk.kind == DiskFault::Kind::io;
    if (!verdict.outcome.empty() && verdict.outcome != heard.state && !forgets) {
      wrong("the host heard " + verdict.outcome + ", then " + heard.state);
    }
    verdict.outcome = heard.state;
  }
  if (verdict.outcome.empty()) wrong("the host does not know how the update ended");
  if (next != "UPDATED") wrong("the next update ended " + (next.empty() ? "nowhere" : next));
}

// It only ever went where it was enrolled or told to go, believing whom it should, and knows where it is to be.
void FaultyBoard::check_places(const Fault& fault, const fs::path& folder, Verdict& verdict) const {
  for (const Heard& heard : history(folder)) {
    if (heard.kind == "place" && heard.active != "right") {
      verdict.wrong.push_back("it went to place " + std::to_string(heard.generation) + ", believing somebody else");
    }
  }
  const auto told = agent::MovedBroker(folder / "state").read();
  const auto identity = agent::Identity::read(folder / "state");
  if (!told || !identity) {
    verdict.wrong.push_back((told ? identity.error() : told.error()).message());
    return;
  }
  const bool there = identity->broker().authority == value_of(read_text_file(folder / "host" / "authority"));
  if (told->next) verdict.wrong.push_back("it still tries another place");
  if (told->number != 1) verdict.wrong.push_back("it would take the same move again");
  if (there != (fault.move == Life::Move::followed)) verdict.wrong.push_back("it is at the wrong place");
  verdict.outcome = there ? "moved" : "stayed";
}

void FaultyBoard::check_files(const fs::path& folder, Verdict& verdict) {
  const fs::path state = folder / "state";
  for (std::string& trouble : agent::check_files(state)) {
    verdict.wrong.push_back(std::move(trouble));
  }
  // Nor are reports, which the host has all acknowledged, or files of an earlier agent.
  for (const auto& entry : fs::recursive_directory_iterator(state)) {
    const std::string name = entry.path().filename().string();
    const bool left = name.starts_with("deployment.json") || name.starts_with("slots.json") ||
                      (entry.path().parent_path().filename() == "outbox" &&
                       !name.starts_with("session.json"));
    if (left) verdict.wrong.push_back("left lying about: " + name);
  }
}

}  // namespace outcrop
