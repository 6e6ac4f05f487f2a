// The contenders that are programs of their own, one for each language or runtime, run as a child process for each measurement.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bench.hpp"
#include "run.hpp"

namespace bench {
namespace {

const std::string go_program = TURNKEY_PEERS_DIR "/go_peer";
const std::string rust_program = TURNKEY_PEERS_DIR "/rust_peer";
const std::string boost_program = TURNKEY_PEERS_DIR "/boost_peer";

bool is_there(const std::string& program) { return access(program.c_str(), X_OK) == 0; }

nlohmann::json ask(const std::string& program, const std::string& arguments) {
  const std::string command = "exec '" + program + "' " + arguments;
  const auto close = [](FILE* stream) { pclose(stream); };
  const std::unique_ptr<FILE, decltype(close)> answer(popen(command.c_str(), "re"), close);
  if (!answer) throw std::runtime_error("cannot run " + command);
  std::string text;
  std::array<char, 1024> piece{};
  while (std::fgets(piece.data(), piece.size(), answer.get()) != nullptr) text += piece.data();
  auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (parsed.is_discarded()) throw std::runtime_error(command + " printed: " + text);
  return parsed;
}

contender peer(contender one, const std::string& program, const std::string& workload,
               const std::vector<std::int64_t>& parameters) {
  if (!is_there(program)) return one;
  std::string arguments = workload;
  for (const std::int64_t parameter : parameters) arguments += " " + std::to_string(parameter);
  one.measure = [program, arguments] {
    const nlohmann::json line = ask(program, arguments);
    return sample{line.at("value"), line.at("figures").get<std::vector<double>>()};
  };
  return one;
}

}  // namespace

contender go_peer(const std::string& name, const std::string& workload, const std::vector<std::int64_t>& parameters) {
  return peer({name + " (Go)", side::go, nullptr}, go_program, workload, parameters);
}

contender rust_peer(const std::string& name, const std::string& workload, const std::vector<std::int64_t>& parameters) {
  return peer({name + " (Rust)", side::other, nullptr}, rust_program, workload, parameters);
}

contender boost_peer(const std::string& name, const std::string& workload,
                     const std::vector<std::int64_t>& parameters) {
  return peer({name, side::other, nullptr}, boost_program, workload, parameters);
}

std::string go_version() {
  return is_there(go_program) ? ask(go_program, "version").at("version").get<std::string>() : "";
}

}  // namespace bench
