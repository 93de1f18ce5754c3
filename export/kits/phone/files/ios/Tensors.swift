import Foundation

/// What `tensors.json` says about the bundle: sizes, names and signatures, so that none of them is written in code.
struct Tensors: Decodable {
  struct File: Decodable {
    let signature: String
    let inputs: [Tensor]
    let outputs: [Tensor]
  }

  struct Tensor: Decodable {
    let name: String
    let shape: [Int]
    var size: Int { shape.reduce(1, *) }
  }

  let image: [Int]
  /// The encoder's output that is a code: `mean` of a VAE, `code` of an autoencoder.
  let code: String
  let codeShape: [Int]
  let hasPrior: Bool
  /// The classes of a conditional model, which also takes `labels`: 1 at the wanted one, 0 elsewhere.
  let labels: [String]
  let files: [String: File]

  var height: Int { image[0] }
  var width: Int { image[1] }
  var channels: Int { image[2] }

  static func read(from bundle: Bundle = .main) throws -> Tensors {
    guard let place = bundle.url(forResource: "tensors", withExtension: "json") else {
      throw CocoaError(.fileNoSuchFile)
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Tensors.self, from: Data(contentsOf: place))
  }
}
