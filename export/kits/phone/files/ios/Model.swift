import Foundation
import LiteRT

/// One `.tflite` file of the bundle, compiled once and called by the names of its tensors.
///
/// Each file has one signature, which is therefore number 0. Not safe for several threads at a time: the buffers are
/// reused from call to call.
final class Model {
  enum Failure: Error {
    case noSuchFile(String)
    case noValue(input: String)
    case wrongSize(input: String, given: Int, wanted: Int)
  }

  private let file: Tensors.File
  private let model: CompiledModel
  private let inputs: [String: TensorBuffer]
  private let inputOrder: [TensorBuffer]
  private let outputs: [String: TensorBuffer]
  private let outputOrder: [TensorBuffer]

  init(_ name: String, tensors: Tensors, bundle: Bundle = .main) throws {
    guard let file = tensors.files[name], let path = bundle.path(forResource: name, ofType: nil) else {
      throw Failure.noSuchFile(name)
    }
    self.file = file
    let options = try Options()
    try options.setHardwareAccelerators([.cpu])
    let model = try CompiledModel(filePath: path, environment: Environment(), options: options)
    self.model = model
    // Buffers come in the order of the file; a name says which is which.
    let inputOrder = try model.createInputBuffers()
    let outputOrder = try model.createOutputBuffers()
    inputs = Dictionary(
      uniqueKeysWithValues: try inputOrder.enumerated().map { (try model.inputName(inputIndex: $0.offset), $0.element) })
    outputs = Dictionary(
      uniqueKeysWithValues: try outputOrder.enumerated().map {
        (try model.outputName(outputIndex: $0.offset), $0.element)
      })
    self.inputOrder = inputOrder
    self.outputOrder = outputOrder
  }

  /// Outputs by name for inputs by name; every variant takes and gives float32, the int8 one included.
  func run(_ values: [String: [Float]]) throws -> [String: [Float]] {
    for tensor in file.inputs {
      guard let value = values[tensor.name], let buffer = inputs[tensor.name] else {
        throw Failure.noValue(input: tensor.name)
      }
      guard value.count == tensor.size else {
        throw Failure.wrongSize(input: tensor.name, given: value.count, wanted: tensor.size)
      }
      try buffer.write(value)
    }
    try model.run(inputs: inputOrder, outputs: outputOrder)
    return try outputs.mapValues { buffer -> [Float] in try buffer.read() }
  }
}
