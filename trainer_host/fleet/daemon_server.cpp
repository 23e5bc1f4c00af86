#include <spdlog/spdlog.h>

#include "trainer_host/fleet/daemon_impl.hpp"

namespace outcrop::fleet {
namespace {

std::map<std::string, Role> certificates_of(const HostConfig& config) {
  std::map<std::string, Role> roles;
  if (!config.http || !config.http->certificates) return roles;
  for (const auto& [name, word] : config.http->certificates->roles) {
    if (const auto role = role_from(word)) roles.emplace(name, *role);
  }
  return roles;
}

}  // namespace

Status Daemon::Impl::start_server() {
  api_ = std::make_unique<Api>(
      ApiParts{answers_->get_executor(), io_->get_executor(), *registry_, *reader_, clock_, blobs_, keeper_, driver_, ingest_, broker_access(),
               [this](const RoleEnvelopes& roles) { publish(roles); }, config_.rollout, worker_,
               tokens_, config_.http && config_.http->open_to_viewers, feed_.history(), &audit_read_,
               [this](const std::string& who, const Audited& what) {
                 news_.report("the audit log", audit_.record(who, what.action, what.subject, what.detail));
               },
               [this](const monitor::MeasureRequest& request) { return asker_.measure(request); },
               [this](const monitor::MeasureRequest& request, std::size_t most) { return asker_.draw(request, most); },
               StateFolder{config_.state}.registry(), [this] { return in_place_.check(); }, [this] {
                 auto words = webhooks_ ? webhooks_->undelivered() : std::vector<std::string>();
                 for (std::string& knocks : knocking_.words()) words.push_back(std::move(knocks));
                 return words;
               }, certificates_of(config_), config_.http ? config_.http->board_metrics : 0,
               [this](const std::string& device, const messages::Command& command) { send(device, command); },
               [this](const monitor::MeasureRequest& request, const messages::Move& move, Timestamp until) { return asker_.move(request, move, until); }});
  api_->look_at_older_releases();
  std::error_code error;
  std::filesystem::create_directories(config_.socket.parent_path(), error);
  http::ServerOptions options;
  options.socket = config_.socket;
  options.mode = config_.socket_mode;
  options.longest_body = longest_body;
  options.admit = [this](const http::Request& head) { return api_->admit(head, Role::admin); };
  OUTCROP_TRY(server,
              http::Server::listen(answers_->get_executor(), options, [this](http::Request request) {
                return api_->handle(std::move(request), Role::admin);
              }));
  server_ = std::make_unique<http::Server>(std::move(server));
  if (config_.readers_group) {
    options.socket = config_.readers_socket();
    options.mode = 0660;
    options.group = config_.readers_group;
    options.admit = [this](const http::Request& head) { return api_->admit(head, Role::viewer); };
    OUTCROP_TRY(readers, http::Server::listen(answers_->get_executor(), options, [this](http::Request request) {
                  return api_->handle(std::move(request), Role::viewer);
                }));
    readers_ = std::make_unique<http::Server>(std::move(readers));
  }
  if (!config_.http) return {};
  http::TcpOptions tcp;
  tcp.address = config_.http->address;
  tcp.port = config_.http->port;
  tcp.longest_body = longest_body;
  tcp.admit = [this](const http::Request& head) { return api_->admit_tcp(head); };
  if (config_.http->certificate) {
    tcp.tls = http::TcpOptions::Tls{*config_.http->certificate, *config_.http->key};
    if (config_.http->certificates) tcp.tls->client_authority = config_.http->certificates->authority;
  }
  OUTCROP_TRY(pages,
              http::Server::listen_tcp(answers_->get_executor(), tcp, [this](http::Request request) {
                return api_->handle_tcp(std::move(request));
              }));
  pages_ = std::make_unique<http::Server>(std::move(pages));
  const bool six = tcp.address.find(':') != std::string::npos;
  spdlog::info("pages at {}://{}:{}/", tcp.tls ? "https" : "http",
               six ? "[" + tcp.address + "]" : tcp.address, pages_->port());
  return {};
}

}  // namespace outcrop::fleet
