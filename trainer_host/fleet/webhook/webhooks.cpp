#include "trainer_host/fleet/webhook/webhooks.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "platform/http/post.hpp"
#include "platform/spawn/spawn.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/number.hpp"
#include "protocol/base/version.hpp"

namespace outcrop::fleet {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t shortest_secret = 16;
constexpr std::size_t entries_at_once = 100;

std::string hex_of(std::span<const unsigned char> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string body_of(const monitor::AuditEntry& entry) {
  return json_text(nlohmann::json{{"id", entry.number},
                                  {"time", to_rfc3339(entry.time)},
                                  {"who", entry.who},
                                  {"action", entry.action},
                                  {"subject", entry.subject},
                                  {"detail", nlohmann::json::parse(entry.detail, nullptr, false)}});
}

Result<std::string> read_secret(const WebhookConfig& config) {
  OUTCROP_TRY(text, read_text_file(config.secret));
  text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  if (text.size() >= shortest_secret) return text;
  return fail(ErrorCode::invalid_data, "the secret of webhook " + config.name + " in " + config.secret.string() + " has " +
                                           std::to_string(text.size()) + " bytes; it needs 16 (openssl rand -hex 32)");
}

}  // namespace

std::string webhook_signature(const std::string& secret, Timestamp time, const std::string& body) {
  const std::string seconds = std::to_string(time.time_since_epoch().count());
  const std::string text = seconds + "." + body;
  std::array<unsigned char, EVP_MAX_MD_SIZE> code{};
  unsigned size = 0;
  ::HMAC(::EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(text.data()),
         text.size(), code.data(), &size);
  return "t=" + seconds + ",v1=" + hex_of(std::span(code.data(), size));
}

struct Webhooks::Hook {
  Hook(const asio::any_io_executor& executor, WebhookConfig what, std::string key)
      : config(std::move(what)), secret(std::move(key)), timer(executor) {}
  WebhookConfig config;
  std::string secret;
  asio::steady_timer timer;
  std::uint64_t taken = 0;  // the last entry that it took, or that is not for it
  int tries = 0;            // of the next
  std::optional<Timestamp> since;
  std::string problem;
};

struct Webhooks::Shared : std::enable_shared_from_this<Shared> {
  Registry* registry = nullptr;
  monitor::AuditLog* audit = nullptr;
  const Clock* clock = nullptr;
  Pauses pauses;
  std::vector<std::unique_ptr<Hook>> hooks;
  bool ended = false;

  [[nodiscard]] static std::string note_of(const Hook& hook) { return "webhook " + hook.config.name; }
  [[nodiscard]] Status begin(Hook& hook);
  void note(const Hook& hook);
  asio::awaitable<void> run(std::shared_ptr<Shared> self, Hook& hook);
  asio::awaitable<bool> tell(Hook& hook, const monitor::AuditEntry& entry);
  asio::awaitable<void> tell_until_taken(Hook& hook, const monitor::AuditEntry& entry);
  asio::awaitable<void> wait(Hook& hook, milliseconds time);
};

Status Webhooks::Shared::begin(Hook& hook) {
  OUTCROP_TRY(noted, registry->note(note_of(hook)));
  if (const auto number = noted ? read_number<std::uint64_t>(*noted) : std::nullopt) {
    hook.taken = *number;
    return {};
  }
  OUTCROP_TRY(last, audit->last());
  hook.taken = last;
  return registry->save_note(note_of(hook), std::to_string(last));
}

// Where it cannot be noted it is told again after the next start.
void Webhooks::Shared::note(const Hook& hook) {
  const Status saved = registry->save_note(note_of(hook), std::to_string(hook.taken));
  if (!saved) spdlog::warn("webhook {}: {}", hook.config.name, saved.error().message());
}

asio::awaitable<void> Webhooks::Shared::wait(Hook& hook, milliseconds time) {
  boost::system::error_code ignored;
  hook.timer.expires_after(time);
  co_await hook.timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<bool> Webhooks::Shared::tell(Hook& hook, const monitor::AuditEntry& entry) {
  http::Post post{hook.config.url};
  post.body = body_of(entry);
  post.deadline = hook.config.timeout;
  post.authority = hook.config.authority;
  post.headers = {{"User-Agent", "outcropd/" + std::string(version())},
                  {"Outcrop-Event", std::to_string(entry.number)},
                  {"Outcrop-Signature", webhook_signature(hook.secret, clock->now(), post.body)}};
  const auto status = co_await http::post(std::move(post));
  if (ended) co_return false;
  if (status && *status >= 200 && *status < 300) {
    if (!hook.problem.empty()) spdlog::info("webhook {}: it takes events again", hook.config.name);
    hook.problem.clear();
    hook.since.reset();
    hook.tries = 0;
    co_return true;
  }
  const std::string problem = status ? "it answered " + std::to_string(*status) : status.error().message();
  if (problem != hook.problem) spdlog::warn("webhook {}: event {}: {}", hook.config.name, entry.number, problem);
  hook.problem = problem;
  if (!hook.since) hook.since = clock->now();
  ++hook.tries;
  co_return false;
}

asio::awaitable<void> Webhooks::Shared::tell_until_taken(Hook& hook, const monitor::AuditEntry& entry) {
  for (milliseconds pause = pauses.first; !ended; pause = std::min(2 * pause, pauses.last)) {
    const bool taken = co_await tell(hook, entry);
    if (taken) co_return;
    if (!ended) co_await wait(hook, pause);
  }
}

asio::awaitable<void> Webhooks::Shared::run(std::shared_ptr<Shared> self, Hook& hook) {
  while (!self->ended) {
    const auto entries = audit->after(hook.taken, entries_at_once);
    if (!entries || entries->empty()) {
      co_await wait(hook, pauses.look);
      continue;
    }
    bool noted = false;
    for (const monitor::AuditEntry& entry : *entries) {
      const bool wanted = hook.config.actions.empty() || hook.config.actions.contains(entry.action);
      if (wanted) co_await tell_until_taken(hook, entry);
      if (ended) co_return;
      hook.taken = entry.number;
      noted = wanted;
      if (wanted) note(hook);
    }
    if (!noted) note(hook);
  }
}

Result<std::unique_ptr<Webhooks>> Webhooks::start(asio::any_io_executor executor, Registry& registry,
                                                  monitor::AuditLog& audit, const Clock& clock,
                                                  const std::vector<WebhookConfig>& configs, const Pauses& pauses) {
  auto shared = std::make_shared<Shared>();
  shared->registry = &registry;
  shared->audit = &audit;
  shared->clock = &clock;
  shared->pauses = pauses;
  for (const WebhookConfig& config : configs) {
    OUTCROP_TRY(secret, read_secret(config));
    shared->hooks.push_back(std::make_unique<Hook>(executor, config, std::move(secret)));
    OUTCROP_CHECK(shared->begin(*shared->hooks.back()));
  }
  for (const auto& hook : shared->hooks) platform::spawn(executor, shared->run(shared, *hook));
  return std::unique_ptr<Webhooks>(new Webhooks(std::move(shared)));
}

Webhooks::~Webhooks() {
  shared_->ended = true;
  for (const auto& hook : shared_->hooks) hook->timer.cancel();
}

std::vector<std::string> Webhooks::undelivered() const {
  std::vector<std::string> all;
  for (const auto& hook : shared_->hooks) {
    if (!hook->since) continue;
    all.push_back("the webhook " + hook->config.name + " has taken no event since " + to_rfc3339(*hook->since) + ", after " +
                  std::to_string(hook->tries) + " tries: " + hook->problem + "; it is told again");
  }
  return all;
}

}  // namespace outcrop::fleet
