#pragma once

#include <utility>  // before Asio

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include "platform/http/server.hpp"
#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/config/host_config.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"
#include "trainer_host/fleet/ingest/ingest.hpp"
#include "trainer_host/fleet/metadata/metadata_keeper.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/driver.hpp"

namespace outcrop::fleet {

// The broker as the API sees it: ours or another.
struct BrokerAccess {
  bool ours = false;  // else nothing of it can be changed from here
  std::string host;   // what boards are told
  std::uint16_t port = 0;
  std::string authority;          // PEM; what boards must trust to believe it
  std::function<bool()> running;  // whether outcropd is connected
  std::function<Status(const DeviceAuthority&)> trust_devices;
  std::function<void(const std::string& device)> disconnect;
  std::function<void()> ask_for_status;  // of every board again
};

struct ApiParts {
  Registry& registry;
  const Clock& clock;
  BlobStore blobs;
  MetadataKeeper& keeper;
  RolloutDriver& driver;
  Ingest& ingest;
  BrokerAccess broker;
  std::function<void(const RoleEnvelopes&)> publish;  // to the boards
  RolloutConfig rollout_defaults;
  boost::asio::thread_pool& worker;  // for writing and hashing blobs
};

inline constexpr ByteCount longest_upload = ByteCount::mib(8);

// The HTTP API of outcropd (API.md), for the command line and other programs of this
// host. Who may speak is the socket's mode to say; who did is logged.
class Api {
 public:
  explicit Api(ApiParts parts) : parts_(std::move(parts)) {}

  // What a person should do something about, a sentence each; none while all is well.
  [[nodiscard]] Result<std::vector<std::string>> attention();

  // Reads what the golden outputs of releases tell of their quality where nobody has yet: an outcropd
  // of an earlier version published them. Blocks; once, before it serves.
  void look_at_older_releases();

  // An http::Handler.
  [[nodiscard]] boost::asio::awaitable<http::Response> handle(http::Request request);

 private:
  [[nodiscard]] boost::asio::awaitable<http::Response> upload(http::Request request);
  [[nodiscard]] Result<http::Response> answer(const http::Request& request);
  [[nodiscard]] Result<http::Response> get(const std::vector<std::string>& path,
                                           const http::Request& request);
  [[nodiscard]] Result<http::Response> post(const std::vector<std::string>& path,
                                            const http::Request& request);

  // host.cpp
  [[nodiscard]] Result<http::Response> host();
  [[nodiscard]] Result<http::Response> adopt();
  [[nodiscard]] Result<http::Response> enrolment();
  [[nodiscard]] boost::asio::awaitable<http::Response> blob(std::string digest);
  [[nodiscard]] Result<http::Response> reports(const http::Request& request);
  // devices.cpp
  [[nodiscard]] Result<http::Response> devices();
  // What it serves, where that is a release of this host.
  [[nodiscard]] Result<std::optional<ReleaseRecord>> active_release(const Device& device);
  [[nodiscard]] Result<http::Response> add_authority(const std::string& body);
  [[nodiscard]] Result<http::Response> add_device(const std::string& body);
  [[nodiscard]] Result<http::Response> revoke_device(const std::string& name,
                                                     const std::string& body);
  [[nodiscard]] Status take(const DeviceAuthority& authority);
  // releases.cpp
  [[nodiscard]] boost::asio::awaitable<http::Response> publish_release(std::string body);
  [[nodiscard]] Result<http::Response> releases();
  [[nodiscard]] Result<http::Response> release(const std::string& manifest);
  [[nodiscard]] Result<ReleaseRecord> check_release(const std::string& body,
                                                    MetadataSubmission& submission);
  [[nodiscard]] Result<http::Response> add_release(const ReleaseRecord& release,
                                                   const MetadataSubmission& submission);
  [[nodiscard]] Result<http::Response> add_metadata(const std::string& body);
  [[nodiscard]] Status take(const MetadataSubmission& submission);
  // rollouts.cpp
  [[nodiscard]] Result<http::Response> rollouts();
  [[nodiscard]] Result<http::Response> rollout(const std::string& name);
  [[nodiscard]] Result<http::Response> start_rollout(const std::string& body);
  [[nodiscard]] Result<http::Response> steer_rollout(const std::string& name,
                                                     const std::string& verb);

  ApiParts parts_;
};

}  // namespace outcrop::fleet
