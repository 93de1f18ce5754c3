import PhotosUI
import SwiftUI

@main
struct SampleApp: App {
  var body: some Scene {
    WindowGroup { ContentView() }
  }
}

/// Calls the models one after another, off the main thread.
actor Worker {
  // Or encoder_int8.tflite and decoder_int8.tflite: they are called alike.
  static let names = (encoder: "encoder.tflite", decoder: "decoder.tflite")

  let tensors: Tensors
  private let encoder: Model
  private let decoder: Model

  init() throws {
    tensors = try Tensors.read()
    encoder = try Model(Worker.names.encoder, tensors: tensors)
    decoder = try Model(Worker.names.decoder, tensors: tensors)
  }

  func rebuild(_ original: UIImage, label: Int) throws -> UIImage? {
    let inputs = labelled(["image": prepared(original, tensors)], label)
    let code = try encoder.run(inputs)[tensors.code] ?? []
    return try decode(code, label)
  }

  func draw(label: Int) throws -> UIImage? {
    // Two uniform numbers make a standard normal one (Box and Muller 1958).
    let noise = (0..<tensors.codeShape.reduce(1, *)).map { _ -> Float in
      let (u, v) = (Float.random(in: Float.leastNonzeroMagnitude..<1), Float.random(in: 0..<1))
      return (-2 * log(u)).squareRoot() * cos(2 * Float.pi * v)
    }
    return try decode(noise, label)
  }

  /// Inputs with the label of a conditional model: 1 at its place, 0 elsewhere.
  private func labelled(_ inputs: [String: [Float]], _ label: Int) -> [String: [Float]] {
    guard !tensors.labels.isEmpty else { return inputs }
    let weights = tensors.labels.indices.map { Float($0 == label ? 1 : 0) }
    return inputs.merging(["labels": weights]) { own, _ in own }
  }

  private func decode(_ code: [Float], _ label: Int) throws -> UIImage? {
    let image = try decoder.run(labelled(["z": code], label))["image"] ?? []
    return picture(image, shape: tensors.files[Worker.names.decoder]!.outputs[0].shape, tensors)
  }
}

struct ContentView: View {
  @State private var chosen: PhotosPickerItem?
  @State private var original: UIImage?
  @State private var rebuilt: UIImage?
  @State private var note = ""
  @State private var label = 0
  private let worker = Result { try Worker() }

  var body: some View {
    VStack {
      PhotosPicker("Open a picture", selection: $chosen, matching: .images)
      if let tensors = try? worker.get().tensors, tensors.hasPrior {
        Button("Draw a new one") { run(nil) }
      }
      if let tensors = try? worker.get().tensors, !tensors.labels.isEmpty {
        Picker("Label", selection: $label) {
          ForEach(tensors.labels.indices, id: \.self) { Text(tensors.labels[$0]) }
        }
      }
      Text(note)
      ForEach([original, rebuilt].compactMap { $0 }, id: \.self) { image in
        Image(uiImage: image).resizable().interpolation(.none).scaledToFit()
      }
    }
    .padding()
    .onChange(of: chosen) { item in
      Task {
        guard let data = try? await item?.loadTransferable(type: Data.self), let image = opened(data) else {
          note = "This picture cannot be read."
          return
        }
        run(image)
      }
    }
  }

  private func run(_ image: UIImage?) {
    Task {
      do {
        let worker = try worker.get()
        if let image {
          rebuilt = try await worker.rebuild(image, label: label)
        } else {
          rebuilt = try await worker.draw(label: label)
        }
        original = image
        note = ""
      } catch {
        note = "\(error)"
      }
    }
  }
}
