// A push server on Boost.Beast, in one thread.
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <memory>
#include <set>
#include <string>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;
using error = beast::error_code;
using clock_type = std::chrono::steady_clock;

constexpr std::size_t largest = 64 * 1024;
// Echoes that wait for one client before nothing more is read from it; pushes that wait before it is too slow.
constexpr std::size_t echoes_waiting = 16, pushes_waiting = 4;

struct Options {
    unsigned short port = 0;
    double period = 300;
    std::string defect = "none";
    bool has(const char *name) const { return defect == name; }
} options;

class Client;

std::set<std::shared_ptr<Client>> clients;

std::string push_text(std::time_t instant) {
    char text[64];
    std::strftime(text, sizeof text, "Server push message at %Y-%m-%d %H:%M:%S", std::localtime(&instant));
    return text;
}

class Client : public std::enable_shared_from_this<Client> {
    struct Waiting {
        std::string text;
        bool is_push;
    };
    websocket::stream<beast::tcp_stream> socket_;
    beast::flat_buffer input_;
    http::request<http::string_body> request_;
    std::deque<Waiting> queue_;
    std::size_t echoes_ = 0, pushes_ = 0;
    bool is_writing_ = false, is_waiting_for_space_ = false, is_ending_ = false;
    int end_ = 0;

public:
    bool subscribed = true;

    explicit Client(tcp::socket socket) : socket_(std::move(socket)) {}

    void start() {
        beast::get_lowest_layer(socket_).socket().set_option(tcp::no_delay(true));
        beast::get_lowest_layer(socket_).expires_after(std::chrono::seconds(10));
        auto self = shared_from_this();
        http::async_read(socket_.next_layer(), input_, request_, [self](error failed, std::size_t) {
            if (!failed) self->upgrade();
        });
    }

    void push(const std::string &text) {
        if (pushes_ >= pushes_waiting && !options.has("queues-without-bound")) {
            // What waits in front of a Close would hold it up, too.
            is_ending_ = true;
            return beast::get_lowest_layer(socket_).close();
        }
        pushes_ += 1;
        send({text, true});
    }

    void close_with(int code) {
        end_ = code;
        write();
    }

private:
    void upgrade() {
        bool is_upgrade = websocket::is_upgrade(request_) && request_.target().starts_with("/ws");
        if (!is_upgrade) return refuse();
        beast::get_lowest_layer(socket_).expires_never();
        auto timeouts = websocket::stream_base::timeout::suggested(beast::role_type::server);
        timeouts.idle_timeout = std::chrono::seconds(120);
        socket_.set_option(timeouts);
        socket_.read_message_max(largest);
        auto self = shared_from_this();
        socket_.async_accept(request_, [self](error failed) {
            if (failed) return;
            clients.insert(self);
            self->read();
        });
    }

    void refuse() {
        auto answer = std::make_shared<http::response<http::string_body>>(http::status::bad_request, 11);
        answer->body() = "This is a WebSocket server.\n";
        answer->keep_alive(false);
        answer->prepare_payload();
        auto self = shared_from_this();
        http::async_write(socket_.next_layer(), *answer, [self, answer](error, std::size_t) {
            beast::get_lowest_layer(self->socket_).close();
        });
    }

    void read() {
        auto self = shared_from_this();
        socket_.async_read(input_, [self](error failed, std::size_t) {
            if (failed) return void(clients.erase(self));
            std::string message = beast::buffers_to_string(self->input_.data());
            self->input_.consume(self->input_.size());
            if (self->socket_.got_text()) self->on_text(message);
            if (self->echoes_ >= echoes_waiting && !options.has("queues-without-bound"))
                self->is_waiting_for_space_ = true;
            else
                self->read();
        });
    }

    void on_text(const std::string &text) {
        if (options.has("compares-with-strncmp") && std::strncmp(text.c_str(), "subscribe", 9) == 0) {
            subscribed = true;
        } else if (text == "subscribe" || text == "unsubscribe") {
            subscribed = text == "subscribe";
        } else {
            echoes_ += 1;
            // A string of C ends at the first NUL.
            send({"Server received: " + (options.has("cuts-at-nul") ? std::string(text.c_str()) : text), false});
        }
    }

    void send(Waiting waiting) {
        if (is_ending_) return;
        queue_.push_back(std::move(waiting));
        write();
    }

    void write() {
        if (is_writing_ || is_ending_) return;
        auto self = shared_from_this();
        if (queue_.empty()) {
            if (end_ == 0) return;
            is_ending_ = true;
            return socket_.async_close(websocket::close_code(end_), [self](error) { clients.erase(self); });
        }
        is_writing_ = true;
        socket_.text(true);
        socket_.async_write(asio::buffer(queue_.front().text), [self](error failed, std::size_t) {
            self->is_writing_ = false;
            (self->queue_.front().is_push ? self->pushes_ : self->echoes_) -= 1;
            self->queue_.pop_front();
            if (failed) return;
            if (self->is_waiting_for_space_) {
                self->is_waiting_for_space_ = false;
                self->read();
            }
            self->write();
        });
    }
};

// One grid for all clients. A cycle that is more than a third of a period late is skipped.
class Schedule {
    asio::steady_timer timer_;
    clock_type::time_point start_ = clock_type::now();
    clock_type::duration period_;
    long cycle_ = 0;

public:
    explicit Schedule(asio::io_context &context)
        : timer_(context),
          period_(std::chrono::duration_cast<clock_type::duration>(std::chrono::duration<double>(options.period))) {}

    void wait() {
        cycle_ += 1;
        auto due = start_ + cycle_ * period_;
        timer_.expires_at(due);
        timer_.async_wait([this, due](error stopped) {
            if (stopped) return;
            auto late = clock_type::now() - due;
            if (late <= period_ / 3) {
                auto wall = std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(late);
                walk(push_text(std::chrono::system_clock::to_time_t(wall)));
            }
            wait();
        });
    }

    void stop() { timer_.cancel(); }

private:
    void walk(const std::string &text) {
        auto copy = clients;
        for (auto &client : copy)
            if (client->subscribed) client->push(text);
    }
};

void accept(tcp::acceptor &acceptor) {
    acceptor.async_accept([&acceptor](error failed, tcp::socket socket) {
        if (failed == asio::error::operation_aborted) return;
        if (!failed) std::make_shared<Client>(std::move(socket))->start();
        accept(acceptor);
    });
}

void read_arguments(int count, char **arguments) {
    options.port = static_cast<unsigned short>(std::atoi(arguments[1]));
    for (int index = 2; index + 1 < count; index += 2) {
        if (!std::strcmp(arguments[index], "--period")) options.period = std::atof(arguments[index + 1]);
        if (!std::strcmp(arguments[index], "--defect")) options.defect = arguments[index + 1];
    }
}

int main(int count, char **arguments) {
    read_arguments(count, arguments);
    asio::io_context context(1);
    tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), options.port});
    acceptor.listen(512);
    accept(acceptor);
    Schedule schedule(context);
    schedule.wait();
    asio::signal_set signals(context, SIGTERM, SIGINT);
    asio::steady_timer limit(context), look(context);
    signals.async_wait([&](error, int) {
        acceptor.close();
        schedule.stop();
        auto copy = clients;
        for (auto &client : copy) client->close_with(options.has("ends-with-1000") ? 1000 : 1001);
        limit.expires_after(std::chrono::milliseconds(1200));
        limit.async_wait([&](error) { context.stop(); });
        auto check = std::make_shared<std::function<void(error)>>();
        *check = [&, check](error) {
            if (clients.empty()) return context.stop();
            look.expires_after(std::chrono::milliseconds(10));
            look.async_wait(*check);
        };
        (*check)({});
    });
    context.run();
    // Their sockets must not outlive the context.
    clients.clear();
    return 0;
}
