#pragma once

#include <utility>  // before Asio

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include "platform/http/server.hpp"
#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/access/tokens.hpp"
#include "trainer_host/fleet/api/audited.hpp"
#include "trainer_host/fleet/api/once.hpp"
#include "trainer_host/fleet/config/host_config.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"
#include "trainer_host/fleet/ingest/ingest.hpp"
#include "trainer_host/fleet/ingest/removed_authorities.hpp"
#include "trainer_host/fleet/metadata/metadata_keeper.hpp"
#include "trainer_host/fleet/metrics/request_times.hpp"
#include "trainer_host/fleet/monitor/asker.hpp"
#include "trainer_host/fleet/monitor/history.hpp"
#include "trainer_host/fleet/page/page.hpp"
#include "trainer_host/fleet/picture/pictures.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/driver.hpp"
#include "trainer_host/fleet/rollout/manifests.hpp"
#include "trainer_host/fleet/view/events.hpp"
#include "trainer_host/fleet/view/fleet_view.hpp"

namespace outcrop::fleet {

// The broker as the API sees it: ours or another.
struct BrokerAccess {
  bool ours = false;  // else nothing of it can be changed from here
  std::string host;   // what boards are told
  std::uint16_t port = 0;
  std::string authority;          // PEM; what boards must trust to believe it
  std::function<bool()> running;  // whether outcropd is connected
  std::function<std::string()> restarting;  // why it is being started again; "" where it is not
  std::function<Status(const DeviceAuthority&)> trust_devices;
  std::function<Status(const trust::KeyId& authority)> distrust_devices;
  std::function<void(const std::string& device)> disconnect;
  std::function<void()> ask_for_status;  // of every board again
};

// Two threads: one answers, and one decides and writes, its loop. So whoever looks waits for no commit.
struct ApiParts {
  boost::asio::any_io_executor executor;  // of the thread that answers
  boost::asio::any_io_executor loop;      // of the other; what follows is used there where nothing else is said
  Registry& registry;
  Registry& reader;  // the same database, read by the thread that answers
  const Clock& clock;
  BlobStore blobs;
  MetadataKeeper& keeper;
  RolloutDriver& driver;
  Ingest& ingest;
  BrokerAccess broker;
  std::function<void(const RoleEnvelopes&)> publish;  // to the boards
  RolloutConfig rollout_defaults;
  boost::asio::thread_pool& worker;  // for writing and hashing blobs, and reading much
  Tokens& tokens;
  bool anybody_may_look = false;       // by TCP in plain, without a token
  monitor::History* history = nullptr;  // none: no telemetry is kept
  monitor::AuditLog* audit = nullptr;   // of the reader
  // Keeps in it that somebody, "token ops", had something done.
  std::function<void(const std::string& who, const Audited& what)> record =
      [](const std::string&, const Audited&) {};
  // Asks boards to measure again.
  std::function<Result<monitor::MeasureAnswer>(const monitor::MeasureRequest&)> measure =
      [](const monitor::MeasureRequest&) { return monitor::MeasureAnswer(); };
  // Asks so many boards at most for pictures.
  std::function<Result<monitor::MeasureAnswer>(const monitor::MeasureRequest&, std::size_t most)> draw =
      [](const monitor::MeasureRequest&, std::size_t) { return monitor::MeasureAnswer(); };
  std::filesystem::path database{};  // of the registry: for its size, and for what workers read
  // Whether that is still the file that was opened; nothing is answered from one that is not.
  std::function<Status()> in_place = [] { return Status(); };
  // What else a person should know: who does not take what webhooks tell, who is shut out and knocks. A sentence each.
  std::function<std::vector<std::string>()> notices = [] { return std::vector<std::string>(); };
  std::map<std::string, Role> certificates{};  // of those who come by TLS, by common name
  std::size_t board_metrics = 0;               // HttpConfig::board_metrics
  std::function<void(const std::string& device, const messages::Command&)> tell{};
  // Tells boards where their broker is.
  std::function<Result<monitor::MeasureAnswer>(const monitor::MeasureRequest&, const messages::Move&, Timestamp until)> move =
      [](const monitor::MeasureRequest&, const messages::Move&, Timestamp) { return monitor::MeasureAnswer(); };
};

// Who asks: by a Unix socket, whose group and mode say who may, or by TCP with a token or a certificate.
struct Caller {
  Role role = Role::admin;
  std::string name;         // "uid 1000", "token ops"
  bool by_cookie = false;   // a browser sent it by itself
};

// Who asks for what is answered now, and by which key it may come again.
struct Asking {
  std::string who;
  std::optional<Repeatable> again;
};

inline constexpr ByteCount longest_upload = ByteCount::mib(8);
inline constexpr ByteCount longest_body = ByteCount::mib(10);
inline constexpr ByteCount longest_of_strangers = ByteCount::kib(4);
inline constexpr ByteCount longest_form = ByteCount::kib(64);  // of a page, by who may do what it does

// The HTTP API of outcropd (API.md, openapi.json) for the command line and other programs, its pages for
// people, and its metrics. Who did what is logged.
class Api {
 public:
  explicit Api(ApiParts parts);

  // Reads what the golden outputs of releases tell of their quality where nobody has yet: an outcropd
  // of an earlier version published them. Blocks; once, before it serves.
  void look_at_older_releases();

  // On the thread that answers: an http::Handler of a Unix socket, where whoever comes has the role, and one of TCP.
  [[nodiscard]] boost::asio::awaitable<http::Response> handle(http::Request request, Role role);
  [[nodiscard]] boost::asio::awaitable<http::Response> handle_tcp(http::Request request);

  // By the head of what comes to either: who is not known, may not do it, or asks for nothing that takes a body, is listened to
  // for `longest_of_strangers`.
  [[nodiscard]] http::Admission admit(const http::Request& head, Role role) const;
  [[nodiscard]] http::Admission admit_tcp(const http::Request& head) const;

  // From the loop. Something of this board that is not in the registry changed, or of rollouts: whoever listens is told at the next
  // tell().
  void board_changed(const std::string& name);
  void rollouts_changed();
  void every_board_changed();
  // A picture of it came.
  void board_drew(const std::string& name);
  // From the loop, now and then: tells listeners what changed since.
  void tell();

  // Carries it out as Once does, where it may come again.
  [[nodiscard]] Result<http::Response> in_one_commit(const std::optional<Repeatable>& request,
                                                     const Once::Effect& effect);

  struct Route;
  // Every call there is; the document of them is held against it by a test.
  [[nodiscard]] static const std::vector<Route>& routes();

 private:
  using Names = std::vector<std::string>;  // what stands for {name} in a path
  [[nodiscard]] boost::asio::awaitable<http::Response> serve(http::Request request, Caller caller);
  // On the loop: carries out what changes something, and keeps who had it done.
  [[nodiscard]] boost::asio::awaitable<http::Response> change(const Route& route, http::Request request, Names names, Caller caller);
  // A page; both live as long as it takes.
  [[nodiscard]] boost::asio::awaitable<http::Response> show(const http::Request& request,
                                                            const page::Reader& reader);
  [[nodiscard]] boost::asio::awaitable<http::Response> upload(http::Request request);
  [[nodiscard]] std::optional<std::string> held_back(const std::string& device) const;

  // resources.cpp: what to answer, instead of doing it, to who wants something changed as he saw it (If-Match), and it is another
  // by now, or made, and it is there (If-None-Match: *). On the loop, but for a rollout, whose boards a worker reads.
  [[nodiscard]] boost::asio::awaitable<std::optional<http::Response>> stands_against(const Route& route, const http::Request& request,
                                                                                     const Names& names);
  [[nodiscard]] Result<http::Response> board_of(Registry& registry, const std::string& name);
  [[nodiscard]] Result<http::Response> group_of(Registry& registry, const std::string& name);
  [[nodiscard]] Result<http::Response> token_of(const std::string& name);
  [[nodiscard]] Result<http::Response> authority_of(Registry& registry, const std::string& keyid);
  // site.cpp
  [[nodiscard]] std::optional<Caller> caller_of(const http::Request& request) const;
  [[nodiscard]] http::Response enter(const http::Request& request);
  // A form of a page that has something changed; none where it is not one of them.
  [[nodiscard]] std::optional<boost::asio::awaitable<http::Response>> take_form(const http::Request& request, const Caller& caller);
  [[nodiscard]] http::Response steer_by_form(const std::string& name, const std::string& who,
                                             const http::Request& request);  // on the loop
  [[nodiscard]] boost::asio::awaitable<http::Response> tag_by_form(std::string body, std::string who);
  [[nodiscard]] http::Response acknowledge_by_form(const std::string& body, const std::string& who);  // on the loop
  // fleet.cpp
  [[nodiscard]] Result<http::Response> metrics(const http::Request& request);
  [[nodiscard]] Result<http::Response> board_metrics(const http::Request& request);
  [[nodiscard]] Result<http::Response> events(const http::Request& request);
  [[nodiscard]] Result<http::Response> changes();
  [[nodiscard]] Result<http::Response> acknowledge_change(const std::string& body, const std::string& who);
  [[nodiscard]] Result<http::Response> audit(const http::Request& request);
  [[nodiscard]] boost::asio::awaitable<http::Response> history(http::Request request);
  // best.cpp
  [[nodiscard]] boost::asio::awaitable<http::Response> best(http::Request request);
  // monitoring.cpp
  [[nodiscard]] Result<http::Response> measure(const std::string& body);
  [[nodiscard]] Result<http::Response> layers(const std::string& manifest, const http::Request& request);
  [[nodiscard]] boost::asio::awaitable<http::Response> outliers(http::Request request);
  // pictures.cpp
  [[nodiscard]] Result<http::Response> ask_pictures(const std::string& body);
  [[nodiscard]] Result<http::Response> move_broker(const std::string& body);
  [[nodiscard]] http::Response ask_by_form(const std::string& device, const std::string& who);  // on the loop
  [[nodiscard]] boost::asio::awaitable<http::Response> picture(std::string device);
  [[nodiscard]] boost::asio::awaitable<http::Response> picture_file(http::Request request, std::string device);
  // fleet.cpp
  [[nodiscard]] Result<http::Response> tokens();
  [[nodiscard]] Result<http::Response> add_token(const std::string& body);
  [[nodiscard]] Result<http::Response> remove_token(const std::string& name);
  // host.cpp: what a person should do something about, a sentence each; none while all is well.
  [[nodiscard]] boost::asio::awaitable<std::vector<std::string>> attention();
  [[nodiscard]] Result<std::vector<std::string>> attention_of_loop();
  [[nodiscard]] std::vector<std::string> missing_blobs();  // on the thread that answers
  [[nodiscard]] Result<nlohmann::json> describe_host();    // without lists_seen and missing blobs; on the loop
  [[nodiscard]] std::map<std::string, std::uint64_t> stage_lists() const;
  [[nodiscard]] boost::asio::awaitable<http::Response> host();
  [[nodiscard]] Result<http::Response> adopt();
  [[nodiscard]] boost::asio::awaitable<http::Response> enrolment();
  [[nodiscard]] boost::asio::awaitable<http::Response> metadata();
  [[nodiscard]] boost::asio::awaitable<http::Response> blob(std::string digest);
  [[nodiscard]] Result<http::Response> reports(const http::Request& request);
  // devices.cpp
  [[nodiscard]] Result<http::Response> devices(const http::Request& request);
  // `entry`: to_json(device); `active`: the release of this host that it serves, or null.
  [[nodiscard]] nlohmann::json describe_device(nlohmann::json entry, const Device& device, const std::optional<Assignment>& desired,
                                               const nlohmann::json& active) const;
  [[nodiscard]] const std::string& shown(const Device& device);
  void add_to_list(std::string& list, const BoardRow& row, const std::string& active);
  [[nodiscard]] Result<http::Response> add_authority(const std::string& body);
  [[nodiscard]] Result<http::Response> add_device(const std::string& body);
  [[nodiscard]] Result<http::Response> revoke_device(const std::string& name,
                                                     const std::string& body);
  [[nodiscard]] Status take(const DeviceAuthority& authority);
  // authorities.cpp
  [[nodiscard]] boost::asio::awaitable<http::Response> authorities();
  [[nodiscard]] boost::asio::awaitable<http::Response> remove_authority(std::string keyid, std::string body,
                                                                        std::optional<Repeatable> repeatable);
  [[nodiscard]] Result<http::Response> remove_with(const DeviceAuthority& authority, const RemovedAuthority& removed,
                                                   const std::vector<Device>& boards, bool revoke);
  [[nodiscard]] Status check_not_leaving(const DeviceAuthority& authority) const;
  // renewals.cpp
  [[nodiscard]] boost::asio::awaitable<http::Response> renewals();
  [[nodiscard]] Result<http::Response> certificate_of(Registry& registry, const std::string& name);
  [[nodiscard]] Result<http::Response> give_certificate(const std::string& name, const std::string& body);
  // groups.cpp
  [[nodiscard]] Result<http::Response> tag_devices(const std::string& body);
  [[nodiscard]] Result<http::Response> groups();
  [[nodiscard]] Result<http::Response> save_group(const std::string& name, const std::string& body);
  [[nodiscard]] Result<http::Response> remove_group(const std::string& name);
  [[nodiscard]] static Result<Group> find_group(Registry& registry, const std::string& name);
  [[nodiscard]] static Result<std::map<std::string, std::string>> words_of_group(Registry& registry, const std::string& name);
  [[nodiscard]] Result<RolloutTarget> target_of_group(const std::string& name, const std::string& model);
  // releases.cpp
  [[nodiscard]] boost::asio::awaitable<http::Response> publish_release(std::string body,
                                                                       std::optional<Repeatable> repeatable);
  [[nodiscard]] Result<http::Response> releases(const http::Request& request);
  [[nodiscard]] Result<http::Response> release(const std::string& manifest);
  [[nodiscard]] Result<ReleaseRecord> check_release(const std::string& body,
                                                    MetadataSubmission& submission);
  [[nodiscard]] Result<http::Response> add_release(const ReleaseRecord& release,
                                                   const MetadataSubmission& submission);
  [[nodiscard]] Result<http::Response> add_metadata(const std::string& body);
  [[nodiscard]] Status take(const MetadataSubmission& submission);
  // rollouts.cpp
  [[nodiscard]] boost::asio::awaitable<http::Response> rollouts(http::Request request);
  // As it is shown, with all its boards; and its record alone, which says whether it is still that one.
  struct ShownRollout {
    http::Response response;
    std::string record;
  };
  [[nodiscard]] boost::asio::awaitable<Result<ShownRollout>> read_rollout(std::string name);  // by a worker
  [[nodiscard]] boost::asio::awaitable<http::Response> rollout(std::string name);
  [[nodiscard]] Result<http::Response> changed_rollout(const RolloutRecord& rollout, int status);
  [[nodiscard]] Result<http::Response> start_rollout(const std::string& body);
  [[nodiscard]] Status target_group(const std::string& group, RolloutRequest& request);
  [[nodiscard]] Result<http::Response> steer_rollout(const std::string& name,
                                                     const std::string& verb);

  ApiParts parts_;
  std::atomic<bool> directed_;  // the root names a director; the loop says so
  std::atomic<bool> telling_{false};
  std::shared_ptr<const void> hears_;  // what is written
  // Of the thread that answers:
  Manifests manifests_;
  FleetView view_;
  Events events_;
  RequestTimes times_;
  std::map<std::string, Timestamp> reports_told_;  // the newest of each board
  struct Shown : Device {
    std::string text;  // JSON, but for its end
  };
  std::map<std::string, Shown> shown_;  // boards of lists, as they were shown
  Pictures pictures_;
  page::Page page_;
  // Of the loop:
  Once once_;
  std::set<trust::KeyId> leaving_;  // device authorities whose removal is under way
};

struct Api::Route {
  std::string method;
  std::string path;  // "/v1/devices/{name}/revoke"
  Role role = Role::viewer;
  // Of a request that may come again the effect is in_one_commit().
  std::function<boost::asio::awaitable<http::Response>(Api&, http::Request, Names, Asking)> answer;
  // The thing that the path names, as GET shows it; none where it names none.
  std::function<Result<http::Response>(Api&, Registry&, const Names&)> resource{};
  bool of_rollout = false;  // the path names a rollout
};

[[nodiscard]] http::Response see_other(const std::string& place);
// Of what stands for one thing and has one form: who has it already (If-None-Match) is told so.
void add_etag(const http::Request& request, http::Response& response);

}  // namespace outcrop::fleet
