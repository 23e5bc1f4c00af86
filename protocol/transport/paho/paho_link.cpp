#include "protocol/transport/paho/paho_link.hpp"

#include <atomic>
#include <mutex>
#include <utility>

#include <mqtt/async_client.h>

#include "protocol/transport/name_lookup.hpp"
#include "protocol/transport/paho/chosen_address.hpp"

namespace outcrop::transport {
namespace {

constexpr int no_reason = 255;  // Paho C++: no MQTT v5 reason in this answer
constexpr int first_failure = 0x80;
constexpr int not_authorized = 0x87;
constexpr int session_taken_over = 0x8E;
constexpr int topic_filter_invalid = 0x8F;
constexpr int topic_name_invalid = 0x90;
constexpr int packet_too_large = 0x95;
constexpr int quota_exceeded = 0x97;

std::string reason_text(int reason) {
  switch (reason) {
    case 0x86:
      return "bad user name or password";
    case not_authorized:
      return "not authorized";
    case 0x88:
      return "server unavailable";
    case 0x8B:
      return "server shutting down";
    case session_taken_over:
      return "another client with our identity took over";
    case topic_filter_invalid:
      return "topic filter invalid";
    case topic_name_invalid:
      return "topic name invalid";
    case packet_too_large:
      return "packet too large";
    case quota_exceeded:
      return "quota exceeded";
    default:
      return "MQTT reason " + std::to_string(reason);
  }
}

// What the broker will not take later either is refused, the rest is bad luck.
Error error_of_reason(int reason) {
  const bool final = reason == not_authorized || reason == topic_filter_invalid ||
                     reason == topic_name_invalid || reason == packet_too_large ||
                     reason == quota_exceeded;
  return {final ? ErrorCode::refused : ErrorCode::io, "the broker says: " + reason_text(reason)};
}

Error error_of_code(int code) {
  return {ErrorCode::io, "MQTT client: " + mqtt::exception::error_str(code)};
}

Status status_of(const mqtt::token& token, bool succeeded) {
  const int reason = token.get_reason_code();
  if (reason >= first_failure && reason != no_reason) return fail(error_of_reason(reason));
  if (succeeded) return {};
  const int code = token.get_return_code();
  if (code >= first_failure && code < no_reason) return fail(error_of_reason(code));
  return fail(error_of_code(code == 0 ? -1 : code));
}

class Listener final : public mqtt::iaction_listener {
 public:
  explicit Listener(std::function<void(const mqtt::token&, bool)> handle)
      : handle_(std::move(handle)) {}
  void on_success(const mqtt::token& token) override { handle_(token, true); }
  void on_failure(const mqtt::token& token) override { handle_(token, false); }

 private:
  std::function<void(const mqtt::token&, bool)> handle_;
};

// When its last client is gone, Paho stops its threads and frees its tables, and whoever let go of
// that client waits for it, up to a second. This one, never connected, is never gone.
std::once_flag anchored;
std::atomic<mqtt::async_client*> anchor = nullptr;

void keep_paho_running() {
  std::call_once(anchored, [] {
    anchor = new mqtt::async_client("tcp://127.0.0.1:1", "", mqtt::create_options(MQTTVERSION_5),
                                    nullptr);
  });
}

// An address of IPv6 stands without brackets: Paho takes what is behind the last colon for the port,
// and would look for one with brackets in the certificate.
std::string uri_of(const SessionOptions& options) {
  return (options.tls ? "ssl://" : "tcp://") + without_zone(options.host) + ":" +
         std::to_string(options.port);
}

// A broker keeps back whatever is larger: a signed role of 1 MiB (protocol/trust) is the largest that anybody sends.
constexpr int largest_packet = (1 << 20) + (1 << 16);

// Paho says no more than that there is no connection.
std::string hint_of(const SessionOptions& options) {
  if (!options.tls) return "";
  return " (nobody listens there, or its certificate is not one of " +
         options.tls->authority.string() + " for the name " + without_zone(options.host) +
         ", or it refuses ours, " + options.tls->certificate.string() + ")";
}

mqtt::message_ptr to_paho(Message message, Delivery delivery) {
  return mqtt::make_message(std::move(message.topic), std::move(message.payload),
                            static_cast<int>(delivery), message.retained);
}

mqtt::connect_options connect_options_of(const SessionOptions& from) {
  mqtt::connect_options options;
  options.set_mqtt_version(MQTTVERSION_5);
  options.set_clean_start(true);
  options.set_keep_alive_interval(from.keep_alive);
  options.set_connect_timeout(from.connect_timeout);
  options.set_properties({{mqtt::property::RECEIVE_MAXIMUM, from.receive_maximum},
                          {mqtt::property::MAXIMUM_PACKET_SIZE, largest_packet}});
  if (from.will) {
    options.set_will_message(to_paho(*from.will, Delivery::at_least_once));
  }
  if (from.tls) {
    mqtt::ssl_options tls;
    tls.set_trust_store(from.tls->authority);
    tls.set_key_store(from.tls->certificate);
    tls.set_private_key(from.tls->key);
    tls.set_enable_server_cert_auth(true);
    tls.set_verify(true);  // the name, too
    // No error handler: Paho C++ 1.2.0 would call it in an object that is gone by then.
    options.set_ssl(std::move(tls));
  }
  return options;
}

void* context_of(std::uint64_t id) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(id));
}

}  // namespace

class PahoLink::Impl {
 public:
  Impl(const SessionOptions& options, const std::string& address, Events events)
      : address_(without_zone(options.host), address),
        events_(std::move(events)),
        tls_hint_(hint_of(options)),
        connecting_([this](const mqtt::token& token, bool good) { connected(token, good); }),
        operating_([this](const mqtt::token& token, bool good) {
          events_.done(reinterpret_cast<std::uintptr_t>(token.get_user_context()),
                       status_of(token, good));
        }),
        leaving_([this](const mqtt::token&, bool) { events_.disconnected(); }),
        client_(uri_of(options), options.client_id, mqtt::create_options(MQTTVERSION_5), nullptr) {
    client_.set_message_callback([this](const mqtt::const_message_ptr& message) {
      events_.message({message->get_topic(), message->get_payload_str(), message->is_retained()});
    });
    client_.set_connection_lost_handler([this](const std::string& cause) {
      events_.lost({ErrorCode::io, "connection lost" + (cause.empty() ? "" : ": " + cause)}, false);
    });
    client_.set_disconnected_handler([this](const mqtt::properties&, mqtt::ReasonCode reason) {
      events_.lost(error_of_reason(reason), reason == session_taken_over);
    });
    client_.connect(connect_options_of(options), nullptr, connecting_);
  }

  mqtt::async_client& client() { return client_; }
  mqtt::iaction_listener& operating() { return operating_; }
  mqtt::iaction_listener& leaving() { return leaving_; }

 private:
  void connected(const mqtt::token& token, bool good) {
    Status status = status_of(token, good);
    if (!status && status.error().code() == ErrorCode::io) {
      status = fail(ErrorCode::io, status.error().message() + tls_hint_);
    }
    events_.connected(std::move(status));
  }

  ChosenAddress address_;
  Events events_;
  std::string tls_hint_;
  Listener connecting_;
  Listener operating_;
  Listener leaving_;
  mqtt::async_client client_;  // last: destroyed first, and no callback runs after that
};

PahoLink::PahoLink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PahoLink::~PahoLink() = default;

Result<std::unique_ptr<PahoLink>> PahoLink::open(const SessionOptions& options,
                                                 const std::string& address, Events events) {
  if (const auto zone = zone_of(address); !zone) return fail(zone.error());
  try {
    keep_paho_running();
    return std::unique_ptr<PahoLink>(
        new PahoLink(std::make_unique<Impl>(options, address, std::move(events))));
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, "connecting to " + uri_of(options) + ": " + error.what());
  }
}

Status PahoLink::publish(Message message, Delivery delivery, std::uint64_t id) {
  try {
    impl_->client().publish(to_paho(std::move(message), delivery), context_of(id),
                            impl_->operating());
    return {};
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, std::string("MQTT client: ") + error.what());
  }
}

Status PahoLink::subscribe(const std::string& filter, Delivery delivery, std::uint64_t id) {
  try {
    impl_->client().subscribe(filter, static_cast<int>(delivery), context_of(id),
                              impl_->operating());
    return {};
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, std::string("MQTT client: ") + error.what());
  }
}

Status PahoLink::unsubscribe(const std::string& filter, std::uint64_t id) {
  try {
    impl_->client().unsubscribe(filter, context_of(id), impl_->operating());
    return {};
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, std::string("MQTT client: ") + error.what());
  }
}

Status PahoLink::disconnect(std::chrono::milliseconds patience) {
  try {
    impl_->client().disconnect(static_cast<int>(patience.count()), nullptr, impl_->leaving());
    return {};
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, std::string("MQTT client: ") + error.what());
  }
}

}  // namespace outcrop::transport
