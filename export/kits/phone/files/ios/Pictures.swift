import ImageIO
import UIKit

/// A photograph, upright as its EXIF data say, decoded to at most 4096 pixels a side: 200 megapixels would be 800 MB.
func opened(_ data: Data) -> UIImage? {
  let options: [CFString: Any] = [
    kCGImageSourceCreateThumbnailFromImageAlways: true,
    kCGImageSourceCreateThumbnailWithTransform: true,
    kCGImageSourceThumbnailMaxPixelSize: 4096,
  ]
  guard let source = CGImageSourceCreateWithData(data as CFData, nil),
    let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
  else { return nil }
  return UIImage(cgImage: image)
}

/// The input `image`: scaled to cover height x width, centre-cropped, on white, 0 … 1, rows from the top, channels last.
func prepared(_ picture: UIImage, _ tensors: Tensors) -> [Float] {
  let (height, width) = (CGFloat(tensors.height), CGFloat(tensors.width))
  let scale = max(height / picture.size.height, width / picture.size.width)
  let (w, h) = (scale * picture.size.width, scale * picture.size.height)
  let format = UIGraphicsImageRendererFormat()
  format.scale = 1  // one pixel a point, whatever the screen has
  let renderer = UIGraphicsImageRenderer(size: CGSize(width: width, height: height), format: format)
  let cropped = renderer.image { context in
    context.cgContext.interpolationQuality = .high
    UIColor.white.setFill()  // under what is transparent, as in training
    context.fill(CGRect(x: 0, y: 0, width: width, height: height))
    picture.draw(in: CGRect(x: (width - w) / 2, y: (height - h) / 2, width: w, height: h))
  }
  var bytes = [UInt8](repeating: 0, count: 4 * tensors.height * tensors.width)
  bytes.withUnsafeMutableBytes { memory in
    let context = CGContext(
      data: memory.baseAddress, width: tensors.width, height: tensors.height, bitsPerComponent: 8,
      bytesPerRow: 4 * tensors.width, space: CGColorSpace(name: CGColorSpace.sRGB)!,
      bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
    context?.draw(cropped.cgImage!, in: CGRect(x: 0, y: 0, width: width, height: height))
  }
  return stride(from: 0, to: bytes.count, by: 4).flatMap { place -> [Float] in
    let rgb = (0..<3).map { Float(bytes[place + $0]) / 255 }
    // Grey as in ITU-R BT.601 and Pillow's "L".
    return tensors.channels == 1 ? [0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]] : rgb
  }
}

/// A picture of the decoder's `image`; what it has beyond height x width is padding.
func picture(_ image: [Float], shape: [Int], _ tensors: Tensors) -> UIImage? {
  let (rowLength, channels) = (shape[2], shape[3])
  var bytes = [UInt8](repeating: 255, count: 4 * tensors.height * tensors.width)
  for row in 0..<tensors.height {
    for column in 0..<tensors.width {
      for channel in 0..<3 {
        let value = image[(row * rowLength + column) * channels + (channels == 1 ? 0 : channel)]
        bytes[4 * (row * tensors.width + column) + channel] = UInt8(min(max((255 * value).rounded(), 0), 255))
      }
    }
  }
  guard let provider = CGDataProvider(data: Data(bytes) as CFData),
    let drawn = CGImage(
      width: tensors.width, height: tensors.height, bitsPerComponent: 8, bitsPerPixel: 32,
      bytesPerRow: 4 * tensors.width, space: CGColorSpace(name: CGColorSpace.sRGB)!,
      bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.noneSkipLast.rawValue), provider: provider, decode: nil,
      shouldInterpolate: false, intent: .defaultIntent)
  else { return nil }
  return UIImage(cgImage: drawn)
}
